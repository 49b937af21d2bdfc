"""Batches of arrays that a function changes at random on their way to a step."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore._native import core

if TYPE_CHECKING:
    from collections.abc import Callable

    from bpcore.arrays import Array
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
        read: Callable[[str, Any], Samples],
        seed: int,
    ) -> None:
        self._data = data
        self._batch_size = batch_size
        self._function = function
        self._with_target = _takes_target(function, data.target)
        self._read = read
        self._seed = seed
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

    def skip(self, batches: int, earlier: bool) -> None:  # noqa: ARG002 - each epoch stands alone
        """Leaves out so many batches."""
        self._number += batches

    def take(self) -> Samples | None:
        """The next batch; None at the end of the epoch."""
        begin = self._number * self._batch_size
        rows = self._order[begin : begin + self._batch_size]
        if not len(rows):
            return None
        data = self._data
        parts = [np.asarray(array)[rows] for array in data.arrays]  # copies, which it may write to
        random = np.random.Philox(key=[self._seed, _STREAM], counter=[0, 0, self._number, self._epoch])
        self._number += 1
        return self._read(self.place, self._changed(parts, np.random.Generator(random)))

    def _changed(self, parts: list[Array], rng: np.random.Generator) -> Any:
        """The batch as a source of batches would give it."""
        weight = [parts.pop()] if self._data.weighted else []
        target = [parts.pop()] if self._data.target else []
        x = parts[0] if len(parts) == 1 else tuple(parts)
        if self._with_target:
            changed = self._function(x, *target, rng)
            if not isinstance(changed, (tuple, list)) or len(changed) != 2:
                raise TypeError(
                    f"{self.place}: a function of (x, y, rng) must return (x, y), "
                    f"got {type(changed).__name__}"
                )
            x, target = changed[0], [changed[1]]
        else:
            x = self._function(x, rng)
        return (x, *target, *weight) if self._data.target else x
