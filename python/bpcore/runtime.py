"""What bpcore runs on: instruction set, threads, device."""

from __future__ import annotations

import operator

from bpcore._native import available_isas as _available_isas
from bpcore._native import core

__all__ = ["available_isas", "device", "isa", "set_threads", "threads"]

# None: as many as the core says, asked anew each time since a process's CPUs may change.
_threads: int | None = None

# A typing error away from a fork bomb: no machine of today has more.
MOST_THREADS = 1024


def isa() -> str:
    """The instruction set of the loaded core: "x86-64-v2", "-v3", "-v4", "native" or "generic".

    The environment variable ``BPCORE_ISA``, set before the import, forces one of `available_isas`.
    """
    return core.isa()


def available_isas() -> list[str]:
    """The instruction sets that are installed and that this CPU and its system run, widest first."""
    return _available_isas()


def threads() -> int:
    """The most threads that a native call may use.

    Unless `set_threads` was called: ``OMP_NUM_THREADS`` where it is set, else the CPUs this process may run
    on. A call uses fewer where more don't pay. The number never changes a result, not by a bit.
    """
    return core.max_threads() if _threads is None else _threads


def set_threads(n: int) -> None:
    """Sets the most threads that native calls started from now on may use, in the whole process.

    Raises TypeError if `n` is not an integer and ValueError if it is below 1 or above 1024.
    """
    global _threads
    try:
        count = operator.index(n)
    except TypeError:
        raise TypeError(f"set_threads: expected an integer, got {type(n).__name__}") from None
    if isinstance(n, bool):
        raise TypeError("set_threads: expected an integer, got bool")
    if not 1 <= count <= MOST_THREADS:
        raise ValueError(f"set_threads: expected 1 to {MOST_THREADS} threads, got {count}")
    _threads = count


def device() -> str:
    """Where native calls compute: "cpu"."""
    return "cpu"
