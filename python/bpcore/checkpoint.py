"""A trainer as a safetensors file.

Tensors: weights by name, states as ``state.<name>``, the optimizer's as ``optimizer.<slot>.<name>``.
Everything else is JSON in the metadata, under "trainer", its only key: the format keeps no order among
several, and the same trainer should give the same file.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any

from bpcore import files, fullbatch, optim
from bpcore.arrays import check_float_dtype
from bpcore.fullbatch import FullBatchUpdates
from bpcore.nn import penalties, weights

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.arrays import Array
    from bpcore.engine import Engine
    from bpcore.nn import Module
    from bpcore.trainer import Trainer

__all__ = ["read", "save"]

_VERSION = 1

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
}


def save(trainer: Trainer, engine: Engine, path: str | os.PathLike[str]) -> None:
    """Writes `trainer`, whose model exists, to `path`."""
    updates = engine.updates
    settings = {
        "format_version": _VERSION,
        "dtype": trainer.dtype,
        "seed": trainer.seed,
        "loss": trainer.loss,
        "loss_is_known": trainer._outputs.by_name,
        "objective": trainer.objective is not None,
        "loss_weights": trainer.loss_weights,
        "metrics": trainer._outputs.metrics,
        "own_metrics": trainer._outputs.own_metrics,
        "optimizer": trainer.optimizer.config(),
        "optimizer_slots": engine.optimizer_slots(),
        "optimizer_memory": updates.saved() if isinstance(updates, FullBatchUpdates) else None,
        "control": trainer.control.config(),
        "regularizer": penalties.config(trainer.regularizer),
        "steps": trainer.steps,
        "epochs": trainer.epochs,
    }
    tensors = {**weights.tensors(trainer.model), **engine.optimizer_state()}
    files.write(path, tensors, {"trainer": json.dumps(settings)})


def read(
    path: str | os.PathLike[str], model: Module, overrides: dict[str, Any]
) -> tuple[dict[str, Any], Callable[[Engine], int]]:
    """Arguments for a trainer as it was saved, and what gives its model and optimizer their values back.

    The latter returns the epochs done. Everything is checked here; see `Trainer.load`.
    """
    name = os.fspath(path)
    tensors, metadata = files.read(path)
    settings = _settings(name, metadata)
    weights.check(model, tensors, name)
    _check_optimizer(model, tensors, settings, name)
    arguments = _arguments(name, settings, overrides)
    arguments["dtype"] = check_float_dtype(arguments["dtype"], "Trainer.load")
    if arguments["dtype"] == "float32" and any(array.dtype == "float64" for array in tensors.values()):
        raise ValueError(f'{name} holds float64 values, which dtype="float32" would cut short')

    def restore(engine: Engine) -> int:
        weights.restore(model, tensors, name)
        optimizer = settings["optimizer"]
        if engine.optimizer.name == optimizer["name"]:  # another kind begins anew
            updates = engine.updates
            if isinstance(updates, FullBatchUpdates):
                updates.make(settings["optimizer_memory"])
            for key, value in engine.optimizer_state().items():
                if key in tensors:
                    value[...] = tensors[key]
                elif key.startswith("optimizer.average."):  # it was not kept so far
                    value[...] = tensors[key.removeprefix("optimizer.average.")]
            updates.steps = settings["steps"]
            if not optim.Optimizer.is_whole(optimizer):  # it had to be given again, and goes on
                engine.optimizer.scale = optimizer["scale"]
        return int(settings["epochs"])

    return arguments, restore


def _settings(name: str, metadata: dict[str, str]) -> dict[str, Any]:
    """The settings in a file's metadata; ValueError unless they are all there and make sense."""
    if "trainer" not in metadata:
        raise ValueError(f"{name} holds weights but no trainer; use model.load_weights for it")
    try:
        settings = json.loads(metadata["trainer"])
    except ValueError as error:
        raise ValueError(f"{name}: its settings are damaged: {error}") from None
    version = settings.get("format_version") if isinstance(settings, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise ValueError(f"{name} was written by a newer bpcore; this one reads up to version {_VERSION}")
    wrong = [
        key for key, kinds in _SETTINGS.items() if version is None or type(settings.get(key)) not in kinds
    ]
    wrong += [key for key in ("steps", "epochs") if key not in wrong and settings[key] < 0]
    if "optimizer" not in wrong and not _is_scale(settings["optimizer"].get("scale")):
        wrong.append("optimizer")
    if wrong:
        raise ValueError(f"{name}: its settings are damaged: {', '.join(wrong)}")
    checked: dict[str, Any] = settings
    return checked


def _is_scale(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value < math.inf


def _arguments(name: str, settings: dict[str, Any], overrides: dict[str, Any]) -> dict[str, Any]:
    """Arguments of `Trainer`: the saved ones, then what was given again."""
    arguments = {
        "dtype": settings["dtype"],
        "seed": settings["seed"],
        "metrics": settings["metrics"],
        "loss_weights": settings.get("loss_weights"),
    }
    missing = []
    if settings["objective"]:
        missing += ["objective"]
    elif settings["loss_is_known"]:
        arguments["loss"] = settings["loss"]
    else:
        missing += ["loss"]
    if settings["own_metrics"]:
        missing += ["metrics"]
    try:
        arguments["optimizer"] = optim.from_config(settings["optimizer"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{name}: its settings are damaged: optimizer: {error}") from None
    if arguments["optimizer"] is None:
        missing += ["optimizer"]
    arguments.update(settings["control"])
    if isinstance(settings["regularizer"], str):
        missing += ["regularizer"]
    else:
        arguments["regularizer"] = penalties.from_config(settings["regularizer"])
    missing = [each for each in missing if each not in overrides]
    if missing:
        names = ", ".join(f"{each}=" for each in missing)
        raise ValueError(f"{name}: functions are not saved; give {names} to Trainer.load again")
    if "objective" in overrides:
        arguments.pop("loss", None)
        arguments.update(metrics=(), loss_weights=None)
    return {**arguments, **overrides}


def _check_optimizer(model: Module, tensors: dict[str, Array], settings: dict[str, Any], name: str) -> None:
    """ValueError unless each of the optimizer's slots has a tensor for every parameter, in its shape.

    LBFGS has them for the parameters that it trained.
    """
    variables, slots = weights.named(model), settings["optimizer_slots"]
    shapes = {path: tensors[path].shape for path, variable in variables.items() if not variable.is_state}
    if settings["optimizer"].get("name") == optim.LBFGS.name:
        try:
            trained = fullbatch.check_saved(settings["optimizer_memory"], slots, list(shapes))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{name}: its settings are damaged: optimizer_memory: {error}") from None
        shapes = {path: shapes[path] for path in trained}
    expected = {f"optimizer.{slot}.{path}": shape for slot in slots for path, shape in shapes.items()}
    found = {key for key in tensors if key.startswith("optimizer.") and key not in variables}
    misshapen = {key for key in found & expected.keys() if tensors[key].shape != expected[key]}
    wrong = sorted((found ^ expected.keys()) | misshapen)
    if wrong:
        raise ValueError(
            f"{name}: the optimizer's state is missing, unexpected or misshapen: {', '.join(wrong[:4])}"
        )
