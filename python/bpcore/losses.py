"""Losses: functions of (prediction, target), on tensors or arrays.

`reduction` is "mean" (over every element that carries a loss), "sum", or "none": the loss of each element. A
trainer takes them by name. Integer and bool targets become floats where the formula needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from bpcore import names, ops
from bpcore.arrays import FLOATS
from bpcore.tensor import Tensor, operand

__all__ = ["Loss", "binary_cross_entropy", "cross_entropy", "matched", "mse", "resolve"]

Loss: TypeAlias = Callable[[Any, Any], Any]
Reduction: TypeAlias = Literal["mean", "sum", "none"]


def mse(prediction: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """(prediction - target)²; `target` has the prediction's shape, or lacks its last axis if of size 1."""
    prediction, target = _aligned("mse", prediction, target)
    return _reduced("mse", ops.squared_error(prediction, target), reduction)


def binary_cross_entropy(logits: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """-t·log(sigmoid(z)) - (1-t)·log(1-sigmoid(z)) of logits z and targets t in [0, 1].

    `target` has the logits' shape, or lacks their last axis if that has size 1.
    """
    logits, target = _aligned("binary_cross_entropy", logits, target)
    _check_logits("binary_cross_entropy", logits, "sigmoid")
    return _reduced("binary_cross_entropy", ops.binary_cross_entropy(logits, target), reduction)


def cross_entropy(logits: Any, target: Any, reduction: Reduction = "mean") -> Any:
    """-log softmax(logits), of the target class or averaged by the target's probabilities.

    `logits` has shape (..., classes). `target` holds classes, integers from 0 of shape (...), or
    probabilities (one-hot or soft), floats of the logits' shape. The loss of an element has shape (...). A
    single output is none of two or more classes; `binary_cross_entropy` is for it.
    """
    logits, target = operand(logits, "cross_entropy"), operand(target, "cross_entropy")
    if logits.ndim == 0:
        raise ValueError("cross_entropy: logits must have shape (..., classes), got a number")
    if logits.shape[-1] < 2:
        raise ValueError(
            f"cross_entropy: logits of shape {logits.shape} have fewer than 2 classes; for a single output, "
            "use binary_cross_entropy"
        )
    _check_logits("cross_entropy", logits, "softmax")
    if str(target.dtype) in FLOATS:
        if target.shape != logits.shape:
            raise TypeError(
                f"cross_entropy: float targets are probabilities of shape {logits.shape}, got "
                f"{target.shape}; for classes, pass integers, as by y.astype(int)"
            )
        return _reduced("cross_entropy", -ops.sum(target * ops.log_softmax(logits), axis=-1), reduction)
    if str(target.dtype) == "bool":
        raise TypeError("cross_entropy: targets are integer classes or float probabilities, got bool")
    if target.shape != logits.shape[:-1]:
        raise ValueError(
            f"cross_entropy: classes for logits of shape {logits.shape} must have shape {logits.shape[:-1]}, "
            f"got {target.shape}"
        )
    return _reduced("cross_entropy", ops.cross_entropy(logits, target), reduction)


def _aligned(who: str, prediction: Any, target: Any) -> tuple[Any, Any]:
    """Both in the prediction's shape and dtype; broadcasting here would be an error nobody sees."""
    prediction, target = operand(prediction, who), operand(target, who)
    target = matched(prediction, target)
    if target.shape != prediction.shape:
        raise ValueError(f"{who}: the prediction has shape {prediction.shape}, the target {target.shape}")
    if str(target.dtype) not in FLOATS:
        target = ops.cast(target, str(prediction.dtype))
    return prediction, target


def matched(prediction: Any, target: Any) -> Any:
    """`target`, in the prediction's shape if all it lacks is a last axis of size 1."""
    return ops.reshape(target, prediction.shape) if prediction.shape == (*target.shape, 1) else target


def _check_logits(who: str, logits: Any, activation: str) -> None:
    """ValueError if `logits` are seen to be what `activation`, which is a part of the loss, gives."""
    if not isinstance(logits, Tensor):
        return
    graph, node = logits.trace.graph, logits.node
    if graph.op(node) == "dense":  # the activation may be a part of it
        node = graph.decompose(node)
    if graph.op(node) == activation:
        raise ValueError(f"{who} takes logits; leave the {activation} out")


def _reduced(who: str, loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return ops.mean(loss)
    if reduction == "sum":
        return ops.sum(loss)
    if reduction == "none":
        return loss
    raise ValueError(f'{who}: reduction must be "mean", "sum" or "none", got {reduction!r}')


_NAMED: dict[str, Callable[..., Any]] = {
    "binary_cross_entropy": binary_cross_entropy,
    "cross_entropy": cross_entropy,
    "mse": mse,
}


def resolve(loss: Any) -> tuple[str | None, Loss | None, bool]:
    """(name, function, known) of a loss given by name or as a function, None if there is none.

    Known ones yield a loss per element. Raises ValueError for an unknown name, TypeError for what is neither.
    """
    if loss is None:
        return None, None, False
    if isinstance(loss, str):
        function = names.lookup("loss", loss, _NAMED)
        return loss, _per_element(function), True
    if not callable(loss) or isinstance(loss, Tensor):
        raise TypeError(f"a loss is a name or a function of (prediction, target), got {type(loss).__name__}")
    for name, function in _NAMED.items():
        if loss is function:
            return name, _per_element(function), True
    return getattr(loss, "__name__", type(loss).__name__), loss, False


def _per_element(function: Callable[..., Any]) -> Loss:
    return lambda prediction, target: function(prediction, target, reduction="none")
