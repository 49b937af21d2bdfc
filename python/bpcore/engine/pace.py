"""How long the native calls of a run may be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bpcore._core import Session
    from bpcore.basics.arrays import Array
    from bpcore.engine.fullbatch import FullBatchSession
    from bpcore.engine.streaming import StreamSession

__all__ = ["Pace"]

_SECONDS_PER_CALL = 0.05  # how long Ctrl-C may wait


class Pace:
    """How many steps make a native call of about 50 ms, by the time they took so far."""

    def __init__(self) -> None:
        self._steps = 1

    def steps(self) -> int:
        """Steps for the next call."""
        return self._steps

    def run(self, session: Session | FullBatchSession | StreamSession, steps: int, rates: Array) -> int:
        """Runs `steps` steps, or fewer as `Session.run` does; the next call may be up to 8 times as long."""
        start = time.perf_counter()
        done = session.run(steps, rates)
        seconds = max(time.perf_counter() - start, 1e-9)
        self._steps = max(1, min(int(_SECONDS_PER_CALL * done / seconds), 8 * max(done, self._steps)))
        return done
