"""Turns at the values of a model, for the threads that write them and those that copy them whole."""

from __future__ import annotations

import os
from threading import Lock, get_ident

__all__ = ["Turns"]


class Turns:
    """A context for one thread at a time, in the order of coming: who comes back at once waits behind others.

    A plain lock would be taken again by a thread that trains before another one has woken up. The thread that
    is inside may enter again. After `fork`, a child finds nobody inside.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._door, self._room = Lock(), Lock()  # who comes next; who is inside
        self._owner: int | None = None
        self._depth = 0
        self._process = os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():
            self._forget()
        if self._owner != get_ident():
            with self._door:
                self._room.acquire()
            self._owner = get_ident()
        self._depth += 1

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._room.release()
