"""Mixup: training on sums of two samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics.arrays import FLOATS
from bpcore.basics.settings import number
from bpcore.symbolic import randomness, tracing
from bpcore.symbolic.operators import operand

__all__ = ["mixup"]


def mixup(x: Any, y: Any, alpha: float = 0.2) -> tuple[Any, Any]:
    """(m·x + (1 - m)·x', m·y + (1 - m)·y') with the next sample's x' and y' and one random m for the batch.

    m has the distribution Beta(alpha, alpha); the last sample is mixed with the first. `Trainer.fit` shuffles
    the samples, so the next one is as good as any. In inference mode, `x` and `y` themselves. For use in an
    objective, before the model::

        def objective(model, x, y):
            x, y = bp.data.mixup(x, ops.one_hot(y, 10))
            return losses.cross_entropy(model(x), y)

    Args:
        x: one row a sample; integers become floats of the traced model's dtype.
        y: targets (float), one row a sample: values, or probabilities of classes.
        alpha: how evenly two samples are mixed; positive.

    Source: H. Zhang et al., mixup: beyond empirical risk minimization (2018). Raises TypeError for a target
    that isn't float, ValueError for `alpha` out of range and for `x` and `y` of different lengths.
    """
    alpha = number("mixup", "alpha", alpha, above=0)
    x, y = operand(x, "mixup"), operand(y, "mixup")
    if x.ndim == 0 or y.ndim == 0 or x.shape[0] != y.shape[0]:
        raise ValueError(f"mixup: x and y must have one row a sample, got shapes {x.shape} and {y.shape}")
    if str(y.dtype) not in FLOATS:
        raise TypeError(f"mixup: y must hold floats, as ops.one_hot makes of classes, not {y.dtype}")
    if not randomness.trains(x, y):
        return x, y
    if str(x.dtype) not in FLOATS:
        x = ops.cast(x, tracing.float_dtype())
    following = np.roll(np.arange(x.shape[0]), -1)
    share = randomness.beta(alpha, "float64")
    return _mixed(x, following, share), _mixed(y, following, share)


def _mixed(values: Any, following: Any, share: Any) -> Any:
    own = ops.cast(share, str(values.dtype))
    return own * values + (1 - own) * ops.gather(values, following)
