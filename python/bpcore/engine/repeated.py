"""A step on one more batch of the same kind, for a few microseconds around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.symbolic import tracing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bpcore._core import Plan, Session
    from bpcore.basics.arrays import Array
    from bpcore.intake import Samples
    from bpcore.nn.module.changes import Watch
    from bpcore.nn.module.parameter import Parameter

__all__ = ["RepeatedStep"]


class RepeatedStep:
    """What `Engine.step` has found out about a batch, as long as the next ones are like it.

    Shapes, dtypes and plan need no second look while nothing of the model may have changed (`Watch`); values
    do. Whatever is different in the least takes the long way, which also says what is wrong.

    Args:
        watch: made before the plan was.
        data: the batch as samples, whose arrays are `buffers`, which the session reads.
    """

    def __init__(
        self,
        watch: Watch,
        parameters: Sequence[Parameter],
        data: Samples,
        session: Session,
        plan: Plan,
        dtype: str,
    ) -> None:
        self.data = data
        self.session = session
        self._watch = watch
        self._parameters = parameters
        self._trainable = [parameter.trainable for parameter in parameters]
        self._arrays: tuple[Array, ...] = data.arrays
        self._kinds = [(array.shape, array.dtype) for array in data.arrays]
        self._floats = [array for array in data.arrays if array.dtype.kind == "f"]
        self._bounds = [(data.arrays[number], low, high) for number, low, high, _ in plan.index_bounds]
        self._dtype = dtype

    def takes(self, inputs: Sequence[Any]) -> bool:
        """Whether these arrays are a batch of that kind, finite and with indices in range; in `data` then."""
        if len(inputs) != len(self._kinds) or not self._watch.unchanged() or tracing.mode() is not None:
            return False
        for value, (shape, dtype) in zip(inputs, self._kinds, strict=True):
            if type(value) is not np.ndarray or value.shape != shape or value.dtype != dtype:
                return False
        if [parameter.trainable for parameter in self._parameters] != self._trainable:
            return False
        for array, value in zip(self._arrays, inputs, strict=True):
            array[...] = value
        for array in self._floats:
            if core.first_not_finite(array, self._dtype) >= 0:
                return False
        return all(core.first_outside(array, low, high) < 0 for array, low, high in self._bounds)
