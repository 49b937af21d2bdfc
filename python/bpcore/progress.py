"""The progress bar of `Trainer.fit`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from bpcore.history import scalars

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Progress"]

_SECONDS_BETWEEN_UPDATES = 0.1


class Progress:
    """One bar for a whole run, in samples, between the epoch and the last values; or none at all."""

    def __init__(self, epochs: int, samples: int | None, show: bool) -> None:
        self._bar: Any = None
        self._epochs = epochs
        self._waiting = 0  # samples not shown yet
        self._due = 0.0
        if show and epochs:
            from tqdm import tqdm  # imported late: `import bpcore` should cost nothing

            # Its own limits on drawing are off: it is only called when something should be drawn.
            self._bar = tqdm(
                total=None if samples is None else epochs * samples,
                unit=" samples",
                unit_scale=True,
                dynamic_ncols=True,
                mininterval=0,
                miniters=1,
            )
            self._bar.set_description_str(f"epoch 1/{epochs}", refresh=False)

    def advance(self, samples: int) -> None:
        """More samples are done."""
        self._waiting += samples
        self._draw()

    def epoch_done(self, number: int, values: Mapping[str, Any]) -> None:
        """Epoch `number` (from 1) of this run is done, with these values."""
        if self._bar is not None:
            self._bar.set_description_str(
                f"epoch {min(number + 1, self._epochs)}/{self._epochs}", refresh=False
            )
            text = ", ".join(f"{name} {value:.4g}" for name, value in scalars(values).items())
            self._bar.set_postfix_str(text, refresh=False)
            self._draw()

    def _draw(self) -> None:
        now = time.perf_counter()
        if self._bar is not None and now >= self._due:
            self._due = now + _SECONDS_BETWEEN_UPDATES
            self._bar.update(self._waiting)
            self._waiting = 0

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.update(self._waiting)
            self._bar.close()
