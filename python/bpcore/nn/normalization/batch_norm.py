"""Batch normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpcore import ops
from bpcore.basics import settings, texts
from bpcore.basics.settings import number
from bpcore.nn.module.parameter import State, Variable
from bpcore.nn.normalization.moments import Normalization, check_eps
from bpcore.symbolic import operators, tracing

__all__ = ["BatchNorm"]


class BatchNorm(Normalization):
    """weight · (x - mean) / sqrt(variance + eps) + bias, with mean and variance of each channel.

    `x` (batch, ..., channels), result the same. In training, mean and (biased) variance are those of the
    batch, over all axes but the last, and running statistics follow: ``running = (1 - momentum) · running +
    momentum · batch``, with the unbiased variance, divided by n - 1. In inference, the running statistics
    take their place, so that a row's result does not depend on the rest of its batch. They are written by
    training steps only: not by `Trainer.gradients`, nor by calls inside of ``with bp.training(seed):``.

    Source: S. Ioffe and C. Szegedy, Batch normalization: accelerating deep network training by reducing
    internal covariate shift (2015).

    Parameters: `weight` (channels,), initially 1, `bias` (channels,), initially 0. States: `running_mean`,
        initially 0, `running_var`, initially 1, both (channels,); `num_batches_tracked` (), if momentum is
        None.

    Args:
        num_features: the number of channels; taken from the first input if None.
        eps: > 0.
        momentum: in [0, 1], how much a batch counts; None for the plain average over all batches so far.
        affine: False leaves weight and bias out.
        track_running_stats: False leaves the states out; inference uses the batch's statistics, too.

    Raises ValueError for values out of range, TypeError for those of another kind. A call raises ValueError
    where statistics are to be taken of a single value, and if it is the second one in a training step: two
    calls would have to write the same running statistics. Give each call a layer of its own, or make it one
    call on all of the data, as `nn.TimeDistributed` does for time steps.
    """

    def __init__(
        self,
        num_features: int | None = None,
        *,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        if num_features is not None:
            num_features = settings.count("BatchNorm", "num_features", num_features, 1)
        if momentum is not None:
            momentum = number("BatchNorm", "momentum", momentum, least=0, most=1)
        super().__init__((num_features,), check_eps("BatchNorm", eps), affine, affine)
        self.momentum = momentum
        self.running_mean = State((num_features,), "zeros") if track_running_stats else None
        self.running_var = State((num_features,), "ones") if track_running_stats else None
        counts = track_running_stats and momentum is None
        self.num_batches_tracked = State((), "zeros") if counts else None

    @property
    def num_features(self) -> int | None:
        """Number of channels, None while it isn't known."""
        return self._last_sizes[0]

    def _sized(self) -> list[Variable]:
        found = [*super()._sized(), self.running_mean, self.running_var]
        return [variable for variable in found if variable is not None]

    def __call__(self, x: Any) -> Any:
        """`x` (batch, ..., channels), result the same."""
        x = self._checked(x, 2)
        trace = tracing.current()
        if self.running_mean is None or self.running_var is None or (trace is not None and trace.training):
            return self._by_batch(x)
        # One factor for each channel, so that an element takes two operations.
        factor = (1 if self.weight is None else self.weight) / ops.sqrt(self.running_var + self.eps)
        y = (x - self.running_mean) * factor
        return y if self.bias is None else y + self.bias

    def _by_batch(self, x: Any) -> Any:
        """Normalised by the batch's mean and biased variance; the running statistics follow."""
        channels = x.shape[-1]
        count = x.size // channels
        advice = "; choose a batch_size that leaves no batch of a single row, also not the last of an epoch"
        self._check_count(count, x, "channel of a batch", advice)
        blocks = operators.apply("batch_block_moments", x)
        moments = operators.apply("batch_moments", x, blocks)
        if self.running_mean is not None and self.running_var is not None:
            momentum: Any = self.momentum
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.update(self.num_batches_tracked + 1)
                momentum = 1 / (self.num_batches_tracked + 1)
            unbiased = moments[2] * (count / max(count - 1, 1))
            for state, value in ((self.running_mean, moments[0] + moments[1]), (self.running_var, unbiased)):
                state.update((1 - momentum) * state + momentum * value)
        weight = np.ones(channels, str(x.dtype)) if self.weight is None else self.weight
        bias = np.zeros(channels, str(x.dtype)) if self.bias is None else self.bias
        return operators.apply("batch_norm", x, weight, bias, moments, eps=self.eps)

    def __repr__(self) -> str:
        options = texts.changed(
            BatchNorm,
            eps=self.eps,
            momentum=self.momentum,
            affine=self.weight is not None,
            track_running_stats=self.running_mean is not None,
        )
        return texts.call(self, [str(self.num_features), *options])
