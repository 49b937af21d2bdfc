"""The settings in a trainer's file: checked, and as the arguments that make such a trainer again."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from bpcore import metrics, optim
from bpcore.checkpoint import strict_json
from bpcore.engine import goals
from bpcore.engine.control import GradientControl
from bpcore.nn import penalties

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["VERSION", "arguments", "read"]

VERSION = 1

_MOST = 2**63 - 1  # steps that the core can count

# What a file's settings hold, and of which types.
_SETTINGS = {
    "format_version": (int,),
    "dtype": (str,),
    "seed": (int,),
    "loss": (str, dict, list, type(None)),
    "loss_is_known": (bool,),
    "objective": (bool,),
    "loss_weights": (dict, list, type(None)),  # older files don't have it
    "metrics": (list, dict),
    "own_metrics": (bool,),
    "optimizer": (dict,),
    "optimizer_slots": (list,),
    "optimizer_memory": (dict, type(None)),  # what LBFGS has besides slots; older files don't have it
    "control": (dict,),
    "regularizer": (dict, str, type(None)),
    "steps": (int,),
    "epochs": (int,),
    # Older files don't have these.
    "model": (str, type(None)),
    "loss_options": (list, type(None)),
    "skipped": (int, type(None)),
    "history": (dict, type(None)),
    "run": (dict, type(None)),
}


def read(name: str, metadata: dict[str, str]) -> dict[str, Any]:
    """The settings in a file's metadata; ValueError unless they are all there and make sense."""
    if "trainer" not in metadata:
        raise ValueError(f"{name} holds weights but no trainer; use model.load_weights for it")
    try:
        settings = strict_json.loads(metadata["trainer"])
    except ValueError as error:
        raise ValueError(f"{name}: its settings are damaged: {error}") from None
    version = settings.get("format_version") if isinstance(settings, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise ValueError(f"{name} was written by a newer bpcore; this one reads up to version {VERSION}")
    wrong = [
        key for key, kinds in _SETTINGS.items() if version is None or type(settings.get(key)) not in kinds
    ]
    counts = [key for key in ("steps", "epochs", "skipped") if key not in wrong]
    wrong += [key for key in counts if not 0 <= (settings.get(key) or 0) <= _MOST]
    if "optimizer" not in wrong and not _is_scale(settings["optimizer"].get("scale")):
        wrong.append("optimizer")
    if wrong:
        raise ValueError(f"{name}: its settings are damaged: {', '.join(wrong)}")
    checked: dict[str, Any] = {**dict.fromkeys(_SETTINGS), **settings}
    return checked


def _is_scale(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def arguments(name: str, settings: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Trainer`: the saved ones, then what was given again."""
    found = {
        "dtype": settings["dtype"],
        "seed": settings["seed"],
        "loss_weights": settings.get("loss_weights"),
    }
    missing = []
    if settings["objective"]:
        missing += ["objective"]
    elif settings["loss_is_known"]:
        found["loss"] = settings["loss"]
    else:
        missing += ["loss"]
    if settings["own_metrics"]:
        missing += ["metrics"]
    else:
        found["metrics"] = _made(name, "metrics", lambda: _metrics(settings["metrics"]))
    found["optimizer"] = _made(name, "optimizer", lambda: optim.from_config(settings["optimizer"]))
    if found["optimizer"] is None:
        missing += ["optimizer"]
    found.update(_made(name, "control", lambda: GradientControl(**settings["control"]).config()))
    if isinstance(settings["regularizer"], str):
        missing += ["regularizer"]
    else:
        found["regularizer"] = _made(
            name, "regularizer", lambda: penalties.from_config(settings["regularizer"])
        )
    missing = [each for each in missing if each not in overrides]
    if missing:
        names = ", ".join(f"{each}=" for each in missing)
        raise ValueError(f"{name}: functions are not saved; give {names} to Trainer.load again")
    if "objective" in overrides:
        found.pop("loss", None)
        found.update(metrics=(), loss_weights=None)
    elif "loss" in found and not overrides.keys() & {"loss", "loss_weights", "metrics"}:
        of_loss = found["loss"], found["loss_weights"], found.get("metrics", ())
        _made(name, "loss, loss_weights or metrics", lambda: goals.resolve(*of_loss))
    return {**found, **overrides}


def _made(name: str, what: str, make: Callable[[], Any]) -> Any:
    """What `make` makes of the settings; ValueError, which says `what` they are of, if they make no sense."""
    try:
        return make()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: its settings are damaged: {what}: {error}") from None


def _metrics(saved: Any) -> Any:
    """Names of metrics, and objects that configs describe, in the structure they were given in."""
    if isinstance(saved, dict) and isinstance(saved.get("metric"), str):
        return metrics.from_config(saved)
    if isinstance(saved, dict):
        return {output: _metrics(each) for output, each in saved.items()}
    return [_metrics(each) for each in saved] if isinstance(saved, list) else saved
