"""Batch normalisation."""

from __future__ import annotations

from typing import Any

from bpcore import checks, ops, tracing
from bpcore.nn.moments import Normalization, centred, check_eps, mean
from bpcore.nn.parameter import State, Variable
from bpcore.settings import number

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
    calls would have to write the same running statistics.
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
            num_features = checks.count("BatchNorm", "num_features", num_features, 1)
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
            difference, variance = self._of_batch(x)
        else:
            difference, variance = x - self.running_mean, self.running_var
        # One factor for each channel, so that an element takes two operations.
        factor = (1 if self.weight is None else self.weight) / ops.sqrt(variance + self.eps)
        y = difference * factor
        return y if self.bias is None else y + self.bias

    def _of_batch(self, x: Any) -> tuple[Any, Any]:
        """Differences from the batch's mean, and its biased variance; the running statistics follow."""
        count, axes = x.size // x.shape[-1], range(x.ndim - 1)
        advice = "; choose a batch_size that leaves no batch of a single row, also not the last of an epoch"
        self._check_count(count, x, "channel of a batch", advice)
        difference, center = centred(x, axes)
        variance = mean(difference * difference, axes)
        if self.running_mean is not None and self.running_var is not None:
            momentum: Any = self.momentum
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.update(self.num_batches_tracked + 1)
                momentum = 1 / (self.num_batches_tracked + 1)
            unbiased = variance * (count / max(count - 1, 1))
            for state, value in ((self.running_mean, center), (self.running_var, unbiased)):
                state.update((1 - momentum) * state + momentum * ops.reshape(value, state.shape))
        return difference, variance

    def __repr__(self) -> str:
        return f"BatchNorm({self.num_features})"
