"""What an estimator's network learns: a loss of its outputs, with the penalty of weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from bpcore import losses, ops
from bpcore.basics.names import lookup
from bpcore.losses import Resolved, Weighted, binary_cross_entropy, cross_entropy, matched, targets
from bpcore.nn import Parameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.nn import Module

__all__ = ["Objective", "check_outputs", "mean_loss", "of_classes", "of_numbers"]

# Losses by name: scikit-learn's first.
_OF_CLASSES = (
    "log_loss", "binary_cross_entropy", "cross_entropy", "focal", "hinge", "multi_margin", "squared_hinge",
)  # fmt: skip
_OF_NUMBERS = (
    "squared_error", "poisson", "huber", "log_cosh", "mae", "mse", "poisson_nll", "quantile", "smooth_l1",
)  # fmt: skip
_ALL_OUTPUTS = {"cross_entropy", "multi_margin"}  # one output a class, also for two
_WITHOUT_PROBABILITIES = {"hinge", "multi_margin", "squared_hinge"}


class Objective(NamedTuple):
    """A loss, the outputs that it needs, and what makes predictions of them."""

    loss: Callable[[Any, Any], Any]  # of (prediction, target): values, `Weighted` or a scalar
    outputs: int
    activation: str  # "identity", "exp", "logistic" or "softmax"
    resolved: Resolved

    def check_target(self, target: Array) -> None:
        """ValueError for a target that a known loss doesn't take."""
        targets.check("fit", self.resolved, target)

    @property
    def signs(self) -> bool:
        """Whether the two classes are -1 and 1 to the loss."""
        return self.resolved.known and self.resolved.name in ("hinge", "squared_hinge")


def of_classes(who: str, loss: Any, kind: str, classes: int) -> Objective:
    """The objective for a kind of targets, "binary", "multiclass" or "multilabel", of so many classes.

    ValueError for a loss that is unknown or not for this kind, TypeError for what is no loss.
    """
    outputs = 1 if kind == "binary" else classes
    activation = "softmax" if kind == "multiclass" else "logistic"
    if isinstance(loss, str):
        lookup("loss", loss, dict.fromkeys(_OF_CLASSES))
        if loss == "log_loss":
            function = _classes_log_loss if kind == "multiclass" else _labels_log_loss
            return Objective(function, outputs, activation, losses.resolve(None))
    resolved = losses.resolve(loss)
    assert resolved.function is not None
    if resolved.known:
        lookup("loss", resolved.name or "", dict.fromkeys(_OF_CLASSES))
        if resolved.binary and kind == "multiclass":
            raise ValueError(
                f"{who}: the loss {resolved.name} is for two classes or for labels; y has {classes} classes"
            )
        if resolved.name in _ALL_OUTPUTS:
            if kind == "multilabel":
                raise ValueError(f"{who}: the loss {resolved.name} is for classes, but y holds labels")
            outputs, activation = classes, "softmax"
        if resolved.name in _WITHOUT_PROBABILITIES:
            activation = "identity"
    return Objective(resolved.function, outputs, activation, resolved)


def of_numbers(loss: Any, outputs: int) -> Objective:
    """The objective for so many numbers a sample; raises as `of_classes` does."""
    if isinstance(loss, str):
        lookup("loss", loss, dict.fromkeys(_OF_NUMBERS))
        if loss in ("squared_error", "poisson"):
            function, activation, like = {
                "squared_error": (_squared_error, "identity", None),
                "poisson": (_poisson, "exp", "poisson_nll"),  # which takes the same targets
            }[loss]
            return Objective(function, outputs, activation, losses.resolve(like))
    resolved = losses.resolve(loss)
    assert resolved.function is not None
    if resolved.known:
        lookup("loss", resolved.name or "", dict.fromkeys(_OF_NUMBERS))
    logarithm = resolved.known and resolved.name == "poisson_nll" and resolved.options.get("log_input", True)
    return Objective(resolved.function, outputs, "exp" if logarithm else "identity", resolved)


def _labels_log_loss(logits: Any, target: Any) -> Any:
    """(rows, outputs) -> (rows,), the sum over outputs, as scikit-learn has it."""
    return ops.sum(binary_cross_entropy(logits, target, "none"), axis=-1)


def _classes_log_loss(logits: Any, target: Any) -> Any:
    return cross_entropy(logits, target, "none")


def _squared_error(prediction: Any, target: Any) -> Any:
    return 0.5 * ops.squared_error(prediction, target)


def _poisson(prediction: Any, target: Any) -> Any:
    """(rows, outputs) -> (rows,): half the deviance of rates exp(prediction), the sum over outputs."""
    t = ops.where(ops.greater(target, 0), target, 1)
    own = ops.where(ops.greater(target, 0), target * ops.log(t), 0) - target
    return ops.sum(ops.exp(prediction) - target * prediction + own, axis=-1)


def check_outputs(outputs: Any, rows: int, expected: int) -> None:
    """ValueError unless a model of one's own returned `expected` outputs for each of `rows` samples."""
    found = getattr(outputs, "shape", type(outputs).__name__)
    if found != (rows, expected):
        raise ValueError(
            "fit: the model must return an array of shape (n_samples, n_outputs), here "
            f"({rows}, {expected}), got {found}"
        )


def mean_loss(objective: Objective, alpha: float) -> Callable[..., Any]:
    """What a trainer minimises: the mean loss of a batch plus alpha / 2 · Σw² / its samples.

    Weighted samples make it Σwℓ / Σw and divide the penalty by their weight, too. The penalty is of all that
    is trained and has two axes or more, as in scikit-learn, where biases go without.
    """

    def value(model: Module, x: Any, target: Any, weight: Any = None) -> Any:
        rows, prediction = x.shape[0], model(x)
        mean, counts = _mean(objective.loss(prediction, matched(prediction, target)), weight, rows)
        weights = [
            parameter
            for _, parameter in model.named_variables()
            if isinstance(parameter, Parameter) and parameter.trainable and len(parameter.sizes) > 1
        ]
        if alpha and weights:
            penalty = sum(ops.sum(ops.square(each)) for each in weights)
            mean = mean + (0.5 * alpha) * penalty / counts
        return mean

    return value


def _mean(value: Any, weight: Any, rows: int) -> tuple[Any, Any]:
    """The mean of a loss over a batch of `rows` samples, and the weight of these, by itself their number."""
    values, counts = value if isinstance(value, Weighted) else (value, None)
    if weight is None:
        if counts is None:
            return ops.mean(values) if values.ndim else values, rows
        return ops.sum(values) / _not_zero(ops.sum(counts)), rows
    if values.ndim == 0 or values.shape[0] != rows:
        raise ValueError(
            "fit: samples can only be weighted if the loss has a value for each of them; it has shape "
            f"{values.shape}"
        )
    each = ops.reshape(weight, (rows,) + (1,) * (values.ndim - 1))
    total = ops.sum(weight)
    divisor = total * (values.size // rows) if counts is None else ops.sum(counts * each)
    return ops.sum(values * each) / _not_zero(divisor), _not_zero(total)


def _not_zero(weight: Any) -> Any:
    return ops.where(ops.greater(weight, 0), weight, 1)
