"""What `Trainer`'s attributes and methods are given, checked before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from bpcore.basics.names import suggestion
from bpcore.basics.settings import count, number
from bpcore.callbacks import Callback, TimeLimit
from bpcore.callbacks.base import check_events, overrides
from bpcore.callbacks.tolerance import Tolerance
from bpcore.engine.control import GradientControl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.nn.module import Module
    from bpcore.trainer.trainer import Trainer

__all__ = ["attribute", "callback_list", "of_a_test", "order_is_free"]

_NOT_OF_A_TEST = ("epochs", "callbacks", "resume", "max_seconds", "tol")
_SETTINGS = {
    "model", "seed", "dtype", "threads", "optimizer", "loss", "loss_weights", "objective", "metrics",
    "control", "regularizer",
}  # fmt: skip
_KEPT_ELSEWHERE = {*GradientControl.__dataclass_fields__}  # settings that are no attributes
_OPEN = {"stop_training", "history", "skipped", "health"}


def attribute(trainer: Trainer, name: str, is_own: bool) -> None:
    """AttributeError if setting `name` would do nothing: a setting's, or one that a trainer doesn't have.

    A subclass may have others: `is_own` says that it is none.
    """
    if name in _KEPT_ELSEWHERE or (name in _SETTINGS and name in vars(trainer)):
        raise AttributeError(f"Trainer: {name} can't be changed; make a new Trainer of the same model")
    if name in ("lr", "learning_rate"):
        raise AttributeError(f"Trainer: {name} is set at its optimizer, by trainer.optimizer.lr = ...")
    known = name in _SETTINGS or name in _OPEN or name.startswith("_") or hasattr(type(trainer), name)
    if is_own and not known:
        raise AttributeError(f"Trainer: there is no {name!r} to set; {suggestion(name, _OPEN)}")


def order_is_free(who: str, model: Module) -> None:
    """ValueError if a layer, told by ``stateful``, goes on in a batch where the one before has ended."""
    for at, module in model.named_modules():
        if getattr(module, "stateful", False) is True:
            place = f" layer {at!r}" if at else ""  # which a module knows only once it is trained
            raise ValueError(
                f"{who}: {type(module).__name__}{place} carries its state from batch to batch, so samples "
                "must keep their order; pass shuffle=False"
            )


def of_a_test(who: str, options: Mapping[str, Any]) -> None:
    """TypeError for an argument of `fit` that a test of learning rates, which has no epoch, can't have."""
    for name in _NOT_OF_A_TEST:
        if name in options:
            raise TypeError(
                f"{who}: {name} can't be given: there is no epoch, and no callback but the finder"
            )


def callback_list(given: Any, max_seconds: Any, tol: Any) -> list[Callback]:
    """`given`, one callback or several, with those that keep two arguments of `fit`, in the order of telling.

    TypeError for what is no callback, and for methods that would never be called.
    """
    several = isinstance(given, Iterable) and not isinstance(given, (Callback, str))
    found = list(given) if several else [given]
    for callback in found:
        if isinstance(callback, type) or not isinstance(callback, Callback):
            raise TypeError(f"fit: callbacks must be objects of bpcore.callbacks.Callback, got {callback!r}")
        check_events(callback)
        if callback.every_steps is not None:
            count(type(callback).__name__, "every_steps", callback.every_steps, 1)
        elif overrides(callback, "on_step") and "every_steps" not in vars(callback):
            raise ValueError(
                f"fit: {type(callback).__name__} has an on_step, but its every_steps is None, so it would "
                "never be called; set every_steps"
            )
    if tol is not None:
        found.append(Tolerance(number("fit", "tol", tol, least=0)))
    if max_seconds is not None:
        found.append(TimeLimit(number("fit", "max_seconds", max_seconds, above=0)))
    return sorted(found, key=lambda callback: callback.runs_last)
