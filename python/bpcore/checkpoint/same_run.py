"""Whether a trainer may go on with the run in a file: what is learned, and how, has to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.basics import texts
from bpcore.checkpoint import strict_json
from bpcore.nn import penalties

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bpcore.engine.goals import Goals
    from bpcore.trainer import Trainer

__all__ = ["check", "loss_options"]

_FREE = {"nonfinite", "ema"}  # of a trainer's control, what doesn't change how parameters are updated


def loss_options(goals: Goals) -> list[str]:
    """What each loss has that is not its default, as text: a function of several settings has one name."""
    found = []
    for each in goals.each:
        options = sorted(each.loss.options.items())
        found.append(texts.without_addresses(", ".join(f"{key}={texts.short(own)}" for key, own in options)))
    return found


def check(name: str, saved: Mapping[str, Any], trainer: Trainer) -> None:
    """ValueError, which names both values, if the run in the file `name` had another setting than `trainer`.

    Learning rates, and settings that the file does not know of, may differ.
    """
    for what, was, own in _compared(saved, trainer):
        own = strict_json.loads(strict_json.dumps(own))  # a pair is a list in a file
        if was != own:
            raise ValueError(
                f"{name} is of a run with {what}={was!r}, this trainer has {what}={own!r}; give the same, or "
                "begin another run from it: Trainer.load takes other settings"
            )


def _compared(saved: Mapping[str, Any], trainer: Trainer) -> Iterator[tuple[str, Any, Any]]:
    """Names of settings, what they were in the file, and what they are now."""
    yield "seed", saved["seed"], trainer.seed
    yield "dtype", saved["dtype"], trainer.dtype
    yield "objective", saved["objective"], trainer.objective is not None
    yield "loss", saved["loss"], trainer.loss
    yield "loss_weights", saved["loss_weights"], trainer.loss_weights
    if saved["loss_options"] is not None:
        yield "options of the loss", saved["loss_options"], loss_options(trainer._goals)
    yield "regularizer", saved["regularizer"], penalties.config(trainer.regularizer)
    was, own = saved["optimizer"], trainer.optimizer.config()
    yield "optimizer", was.get("name"), own["name"]
    settings = [key for key in own if key in was and key not in ("name", "lr", "scale", "groups")]
    yield from ((f"{own['name']}'s {key}", was[key], own[key]) for key in settings)
    if "groups" in was:
        yield f"{own['name']}'s groups", _without_rates(was["groups"]), _without_rates(own["groups"])
    control = trainer.control.config()
    yield from ((key, saved["control"][key], control[key]) for key in control if _is_compared(key, saved))


def _is_compared(key: str, saved: Mapping[str, Any]) -> bool:
    return key in saved["control"] and key not in _FREE


def _without_rates(groups: Any) -> Any:
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return groups  # damaged: it equals no groups
    return [{key: value for key, value in group.items() if key != "lr"} for group in groups]
