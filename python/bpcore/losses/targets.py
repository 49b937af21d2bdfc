"""Which values the targets of known losses may have, as far as the loss alone decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.losses.known import Resolved

__all__ = ["PADDING", "check", "check_label_sequences", "check_signs", "has_rule"]

PADDING = -1  # what stands behind the last label of a sequence
_SUM_TOLERANCE = 1e-3  # how far from 1 the sum of probabilities may lie


def check(who: str, loss: Resolved, target: Array) -> None:
    """ValueError, which begins with `who`, if `loss` is a known one and takes no such `target`."""
    if not loss.known or loss.options.get("log_target"):
        return
    if loss.name == "ctc":
        check_label_sequences(who, "ctc", target, loss.options.get("blank", 0))
        return
    known = _CHECKS.get(loss.name or "")
    if known is not None:
        known(who, loss.name or "", target)


def has_rule(loss: Resolved, target: Array) -> bool:
    """Whether `check` looks at the values of a target like this one."""
    if not loss.known or loss.options.get("log_target"):
        return False
    if loss.name == "cross_entropy" and target.dtype.kind != "f":
        return False  # classes, whose range the prediction says
    return loss.name == "ctc" or loss.name in _CHECKS


def check_signs(who: str, loss: str, target: Array) -> None:
    """ValueError unless all are -1 or 1."""
    wrong = (target != 1) & (target != -1)
    if wrong.any():
        raise ValueError(
            f"{who}: targets {_of(who, loss)}are -1 and 1, got {target[wrong].flat[0]}; for y of 0 and 1, "
            "give 2 * y - 1"
        )


def check_label_sequences(who: str, loss: str, target: Array, blank: int) -> None:
    """ValueError unless each row holds labels from 0 other than `blank`, then only padding."""
    if target.dtype.kind not in "iu" or target.ndim != 2:
        return  # what ctc refuses
    padding = target == PADDING
    for wrong, problem in (
        (target == blank, "is the blank, which is no label"),
        (target.astype(np.int64) < PADDING, f"is neither a label nor {PADDING}, the padding"),
        (padding[:, :-1] & ~padding[:, 1:], f"comes before the last label; {PADDING} stands behind it"),
    ):
        if wrong.any():
            row, column = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            raise ValueError(
                f"{who}: targets {_of(who, loss)}are labels: y[{row}, {column}], {target[row, column]}, "
                f"{problem}"
            )


def _probabilities(who: str, loss: str, target: Array) -> None:
    if target.dtype.kind != "b" and ((target < 0) | (target > 1)).any():
        raise ValueError(
            f"{who}: targets {_of(who, loss)}lie in [0, 1], got {target.min()} to {target.max()}"
        )


def _distributions(who: str, loss: str, target: Array) -> None:
    if target.dtype.kind != "f" or target.ndim < 2 or target.shape[-1] < 2:
        return  # classes, or of a shape that cross_entropy refuses
    sums = target.sum(axis=-1, dtype=np.float64)
    wrong = (np.abs(sums - 1) > _SUM_TOLERANCE) | ((target < 0) | (target > 1)).any(axis=-1)
    if wrong.any():
        at = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise ValueError(
            f"{who}: float targets {_of(who, loss)}are probabilities, in [0, 1] with a sum of 1; "
            f"y[{', '.join(str(i) for i in at)}] is {target[at]}"
        )


def _not_negative(who: str, loss: str, target: Array) -> None:
    if target.dtype.kind != "b" and (target < 0).any():
        raise ValueError(f"{who}: targets {_of(who, loss)}are at least 0, got {target.min()}")


def _of(who: str, loss: str) -> str:
    return "" if who == loss else f"of {loss} "


_CHECKS: dict[str, Callable[[str, str, Any], None]] = {
    "binary_cross_entropy": _probabilities,
    "cross_entropy": _distributions,
    "focal": _probabilities,
    "hinge": check_signs,
    "kl_divergence": _not_negative,
    "poisson_nll": _not_negative,
    "squared_hinge": check_signs,
}
