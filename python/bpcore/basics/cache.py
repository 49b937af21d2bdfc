"""A small cache of plans, one a signature of shapes and dtypes; the one used longest ago is forgotten."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["PlanCache"]

T = TypeVar("T")


class PlanCache(Generic[T]):
    """Up to `size` entries.

    Warns once when so many have been made and forgotten that keys seem to change all the time. Any number of
    threads may use it at a time; two that miss one key at once both make its entry.
    """

    def __init__(self, size: int, owner: str) -> None:
        self._size = size
        self._owner = owner
        self._entries: OrderedDict[Hashable, T] = OrderedDict()
        self._forgotten = 0
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The entry of `key`, made if there is none."""
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        entry = make()
        with self._lock:
            self._entries[key] = entry
            if len(self._entries) > self._size:
                self._entries.popitem(last=False)
                self._forgotten += 1
            often = self._forgotten == self._size
        if often:
            warnings.warn(
                f"{self._owner}: input shapes keep changing, and each new one costs a new plan; "
                "use few batch sizes, or pad to them",
                RuntimeWarning,
                stacklevel=4,
            )
        return entry

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
