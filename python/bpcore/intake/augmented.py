"""Batches of arrays that a function changes at random on their way to a step."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core
from bpcore.symbolic.sparse import SparseMatrix

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.basics.arrays import Array
    from bpcore.intake.groups import Keys
    from bpcore.intake.samples import Samples

__all__ = ["Augmented"]

_STREAM = 0x6175676D656E74  # apart from other uses of the seed


def _takes_target(function: Any, target: bool) -> bool:
    """Whether `function` is one of (x, y, rng) rather than of (x, rng); TypeError if it is neither."""
    if not callable(function):
        raise TypeError(f"fit: augment must be a function of (x, rng), got {type(function).__name__}")
    for count in (2, 3) if target else (2,):
        try:
            inspect.signature(function).bind(*range(count))
        except (TypeError, ValueError):  # it doesn't fit, or there is no signature
            continue
        return count == 3
    forms = "(x, rng) or of (x, y, rng)" if target else "(x, rng), as there is no target"
    raise TypeError(f"fit: augment must be a function of {forms}")


class Augmented:
    """The batches that a native session would gather, each changed by `function`.

    Its random numbers are keyed by seed, epoch and number of the batch: runs repeat, wherever they go on.
    """

    continues = False

    def __init__(
        self,
        data: Samples,
        batch_size: int,
        function: Callable[..., Any],
        read: Callable[[str, list[Any], list[Any], list[Any]], Samples],
        seed: int,
    ) -> None:
        if any(isinstance(array, SparseMatrix) for array in data.arrays):
            raise TypeError("fit: augment changes arrays, it can't go with a sparse matrix")
        self._data = data
        self._form = data.signature(batch_size, "float32")
        self._batch_size = batch_size
        self._function = function
        self._with_target = _takes_target(function, data.target)
        self._read = read
        self._seed = seed
        self._random = np.random.Philox(key=[seed, _STREAM])
        self._begin: Any = self._random.state
        self._order: Array = np.arange(data.rows)
        self._epoch = 0
        self._number = 0

    @property
    def place(self) -> str:
        """What messages about the batch taken last begin with."""
        return f"fit: augment, batch {self._number - 1} of epoch {self._epoch + 1}"

    def begin(self, epoch: int, shuffle: bool) -> None:
        """The next batch is the first of this epoch."""
        rows = self._data.rows
        self._order = core.permutation(rows, self._seed, epoch) if shuffle else np.arange(rows)
        self._epoch, self._number = epoch, 0

    def rewind(self) -> bool:
        """There is nothing to forget."""
        return True

    def skip(self, batches: int, epochs: int = 0) -> None:  # noqa: ARG002 - each epoch stands alone
        """Leaves out so many batches of this epoch."""
        self._number += batches

    def take(self) -> Samples | None:
        """The next batch; None at the end of the epoch."""
        begin = self._number * self._batch_size
        rows = self._order[begin : begin + self._batch_size]
        if not len(rows):
            return None
        data = self._data
        if data.selected is not None:
            rows = data.selected[rows]
        parts = [np.asarray(array)[rows] for array in data.arrays]  # copies, which it may write to
        self._begin["state"]["counter"][2:] = self._number, self._epoch  # much faster than another Philox
        self._random.state = self._begin
        self._number += 1
        call = self._form.call(parts)
        x = call.inputs[0] if data.inputs is None else call.named or call.inputs
        inputs, target = self._changed(x, call.target, np.random.Generator(self._random))
        return self._read(self.place, inputs, target, list(call.weights.values()))

    def _changed(self, x: Any, y: Any, rng: np.random.Generator) -> tuple[list[Any], list[Any]]:
        """The arrays of inputs and targets that the function makes of these."""
        if not self._with_target:
            x = self._function(x, rng)
        else:
            changed = self._function(x, y, rng)
            if not isinstance(changed, (tuple, list)) or len(changed) != 2:
                raise TypeError(
                    f"{self.place}: a function of (x, y, rng) must return (x, y), "
                    f"got {type(changed).__name__}"
                )
            x, y = changed
        data = self._data
        return self._parts(x, data.inputs), self._parts(y, data.outputs) if data.target else []

    def _parts(self, value: Any, keys: Keys) -> list[Any]:
        try:
            return [value] if keys is None else [value[key] for key in keys]
        except (TypeError, LookupError):
            raise TypeError(
                f"{self.place}: the function must return arrays in the structure that it is given, got "
                f"{type(value).__name__}"
            ) from None
