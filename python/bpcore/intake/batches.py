"""Batches that come one after the other: from what can be gone through, or from arrays by a function."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

import numpy as np

from bpcore.basics import interrupts
from bpcore.intake.groups import has_axes, several

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bpcore.intake.samples import Samples

__all__ = ["Batches", "Feed", "check_alone", "is_batches", "parts", "unlisted"]

_END = object()


class Feed(Protocol):
    """Epochs of batches, each checked when it is taken."""

    continues: bool  # whether all epochs share one stream, which each goes on with

    def begin(self, epoch: int, shuffle: bool) -> None:
        """The next batch is the first of this epoch."""

    def rewind(self) -> bool:
        """Forgets what was taken, so that the next `begin` starts anew; False if that can't be."""

    def skip(self, batches: int, epochs: int = 0) -> None:
        """Leaves out so many batches of this epoch, behind those of `epochs` others."""

    def take(self) -> Samples | None:
        """The next batch; None at the end of the epoch."""

    @property
    def place(self) -> str:
        """What messages about the batch taken last begin with."""


def is_batches(value: Any, *, alone: bool, objective: bool = False) -> bool:
    """Whether `value` gives batches rather than being an array, or several.

    That is what can be gone through but is no array, table or mapping, or a function. `alone`: nothing else
    was given, so a sequence may be one of batches; a list is if its first item holds arrays, for an
    `objective` in a tuple, as a list of lists may be an array there.
    """
    if isinstance(value, (np.ndarray, tuple, Mapping, str, bytes)) or value is None:
        return False
    if hasattr(value, "shape") or hasattr(value, "__array__"):
        return False
    if isinstance(value, list):
        kinds = tuple if objective else (tuple, list)
        return (
            alone
            and bool(value)
            and isinstance(value[0], kinds)
            and any(several(part) or isinstance(part, Mapping) or has_axes(part) for part in value[0])
        )
    if not isinstance(value, Iterable):
        return callable(value)
    return alone or not hasattr(value, "__getitem__")


def check_alone(who: str, **given: Any) -> None:
    """ValueError for an argument that makes no sense where x gives batches."""
    for name, value in given.items():
        if value is not None and value is not False and not (name == "validation_split" and value == 0):
            raise ValueError(f"{who}: x gives batches, with all that belongs to them; don't pass {name}")


def unlisted(item: Any) -> Any:
    """`item`, of a list of arrays, as PyTorch's loaders give, the tuple that stands for several."""
    return tuple(item) if isinstance(item, list) and any(map(has_axes, item)) else item


def parts(who: str, x: Any) -> Iterator[tuple[str, Any]]:
    """The inputs that `x` gives one after the other, or `x` alone, with what messages about it begin with."""
    if not is_batches(x, alone=False):
        yield who, x
        return
    found = False
    for number, each in enumerate(x if isinstance(x, Iterable) else x()):
        found = True
        yield f"{who}: batch {number}", unlisted(each)
    if not found:
        raise ValueError(f"{who}: there are no batches")


class Batches:
    """The batches of an iterable, an iterator, or a function that returns either.

    Where a run is resumed, those that are left out are gone through, unless the iterable has a method `skip`,
    which returns what comes behind so many of them, or is a sequence.

    Each epoch goes through them anew. With a `limit`, an epoch has so many, the next one goes on behind them,
    and what has come to its end is begun again.
    """

    def __init__(
        self,
        who: str,
        source: Any,
        read: Callable[[str, Any], Samples],
        epochs: int = 1,
        limit: int | None = None,
    ) -> None:
        self._who = who
        self._source = source
        self._read = read
        self._limit = limit
        self.continues = limit is not None
        self._function = not isinstance(source, Iterable)
        self._takes_epoch = _epoch_goes(source) if self._function else None
        self._once = hasattr(source, "__next__")
        self._iterator: Iterator[Any] | None = None
        self._epoch = 0
        self._number = 0  # of the batch that comes next
        if self._once and limit is None and epochs > 1:
            raise ValueError(
                f"{who}: a {type(source).__name__} can be gone through only once, not for {epochs} epochs; "
                "pass the function that makes it, not its result, or a list"
            )

    @property
    def place(self) -> str:
        """What messages about the batch taken last begin with."""
        return f"{self._who}: batch {self._number - 1} of epoch {self._epoch + 1}"

    def begin(self, epoch: int, shuffle: bool) -> None:  # noqa: ARG002 - the order is that of the source
        """The next batch is the first of this epoch."""
        self._epoch, self._number = epoch, 0
        if self._limit is None or self._iterator is None:
            self._iterator = self._open()

    def rewind(self) -> bool:
        """Forgets what was taken, so that the next `begin` starts anew; False if that can't be."""
        if not self._once:
            self._iterator = None
        return not self._once

    def skip(self, batches: int, epochs: int = 0) -> None:
        """Leaves out so many batches of this epoch, behind those of `epochs` others."""
        epoch, begin, limit = self._epoch, self._number, self._limit
        self._number += batches
        if limit is not None:
            first = epoch * limit + begin
            for place in range(first, first + batches + epochs * limit):
                self._epoch, self._number = divmod(place, limit)  # what begins anew does so in its epoch
                self._next()
            self._epoch, self._number = epoch + epochs, begin + batches
        elif callable(getattr(self._source, "skip", None)):
            self._iterator = iter(self._source.skip(self._number))
        elif hasattr(self._source, "__getitem__") and hasattr(self._source, "__len__"):
            source = self._source
            self._iterator = (source[i] for i in range(self._number, len(source)))
        else:
            for _ in range(batches):
                self._next()

    def take(self) -> Samples | None:
        """The next batch; None at the end of the epoch."""
        if self._number == self._limit:
            return None
        item = self._next()
        if item is _END:
            if self._number == 0:
                raise ValueError(f"{self._who}: there are no batches for epoch {self._epoch + 1}")
            return None
        self._number += 1
        return self._read(self.place, item)

    def _next(self) -> Any:
        item = interrupts.at_once(next, self._iterator, _END)
        if item is not _END or self._limit is None:
            return item
        if not self._once:
            self._iterator = self._open()
            item = interrupts.at_once(next, self._iterator, _END)
        if item is _END:
            raise ValueError(
                f"{self._who}: the batches came to their end after {self._number} of the {self._limit} that "
                f"epoch {self._epoch + 1} needs"
            )
        return item

    def _open(self) -> Iterator[Any]:
        if not self._function:
            return cast("Iterator[Any]", interrupts.at_once(iter, self._source))
        source, epoch = self._source, self._epoch
        if self._takes_epoch == "by name":
            made = interrupts.at_once(lambda: source(epoch=epoch))
        else:
            made = interrupts.at_once(source, *([] if self._takes_epoch is None else [epoch]))
        if not isinstance(made, Iterable):
            raise TypeError(
                f"{self._who}: the function must return an iterator of batches, got {type(made).__name__}"
            )
        return iter(made)


def _epoch_goes(function: Callable[..., Any]) -> Literal["by name", "by place"] | None:
    """How `function` is given the epoch: as what it calls so, or as the one argument that it needs, if any.

    Other arguments that may be left out are the function's own, as in ``lambda loader=loader: ...``.
    """
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a class without a signature
        return None
    named, only = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY
    if "epoch" in parameters and parameters["epoch"].kind in (named, inspect.Parameter.KEYWORD_ONLY):
        return "by name"
    needed = sum(each.kind in (named, only) and each.default is each.empty for each in parameters.values())
    return "by place" if needed == 1 else None
