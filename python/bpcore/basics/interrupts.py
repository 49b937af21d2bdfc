"""Ctrl-C at the points where nothing is done by half."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["at_once", "check", "deferred"]

_seen = False  # whether a first Ctrl-C waits for `check`
_waits = True  # False where there is nothing to wait for


def _note(*_: Any) -> None:
    global _seen
    if _seen or not _waits:  # a second one doesn't wait either
        _seen = False
        raise KeyboardInterrupt
    _seen = True


def check() -> None:
    """Raises the KeyboardInterrupt that waits, if there is one, in the main thread."""
    global _seen
    if _seen and threading.current_thread() is threading.main_thread():
        _seen = False
        raise KeyboardInterrupt


def at_once(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of the user's, which a first Ctrl-C ends at once, also inside of `deferred`."""
    global _waits
    if threading.current_thread() is not threading.main_thread():
        return function(*arguments)
    before, _waits = _waits, False
    try:
        check()
        return function(*arguments)
    finally:
        _waits = before


@contextmanager
def deferred() -> Iterator[None]:
    """Inside of it, a first Ctrl-C waits for `check` or for the end; a second one does not.

    Only for the main thread and Python's own handler: a program that handles SIGINT itself goes on doing so.
    """
    global _seen
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    except BaseException:
        _seen = False  # something has ended it already
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is _note:  # else somebody has put another one in its place
            signal.signal(signal.SIGINT, signal.default_int_handler)
    check()
