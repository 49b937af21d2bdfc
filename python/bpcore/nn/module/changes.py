"""Whether a model may have changed since it was looked at, told in a fraction of a microsecond."""

from __future__ import annotations

import itertools
from typing import Any

__all__ = ["Watch", "note"]

_numbers = itertools.count(1)
_last = 0  # of all changes noted so far, of any module


def note() -> None:
    """Remembers that some module has had an attribute set, or that parameters have moved."""
    global _last
    _last = next(_numbers)


class Watch:
    """Looks at `root`, a module, and the lists and dicts that its parts keep modules in."""

    def __init__(self, root: Any) -> None:
        self._change = _last
        self._containers: list[tuple[Any, Any]] = []
        self._collect(root, set())

    def _collect(self, value: Any, seen: set[int]) -> None:
        if id(value) in seen:
            return
        if hasattr(value, "_bpcore"):  # a module
            seen.add(id(value))
            for each in vars(value).values():
                self._collect(each, seen)
        elif isinstance(value, (list, tuple, dict)):
            seen.add(id(value))
            if not isinstance(value, tuple):
                self._containers.append((value, value.copy()))
            for each in value.values() if isinstance(value, dict) else value:
                self._collect(each, seen)

    def unchanged(self) -> bool:
        """False if anything may have changed; then it takes a closer look, and a new watch, to tell."""
        if _last != self._change:
            return False
        try:
            # Identical elements are equal without being compared.
            return all(now == before for now, before in self._containers)
        except Exception:  # noqa: BLE001 - a comparison of other elements, such as arrays, may raise anything
            return False
