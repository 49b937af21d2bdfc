"""How far `Trainer.fit` is: a bar where there is a screen, plain lines where there is a log."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from bpcore.watching.history import scalars

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Progress", "check"]

_SECONDS_OF_BAR = 0.1  # between two looks of a bar
_SECONDS_OF_EPOCHS = 1.0  # between two lines of a log that say that an epoch is done
_SECONDS_WITHIN_EPOCH = 10.0  # between two lines of a log otherwise


def check(who: str, show: Any) -> None:
    """ValueError unless `show` is True, False, "bar" or "log"."""
    if not (isinstance(show, bool) or show in ("bar", "log")):
        raise ValueError(f'{who}: progress must be True, False, "bar" or "log", got {show!r}')


class Progress:
    """Shows a whole run, as `show` says: "bar", "log", False: nothing, True: what suits standard error.

    That is a bar in a terminal and in a notebook, else a log: a line for each epoch, at most one a second,
    the first and the last in any case, and one every ten seconds within a long epoch. `samples` are those of
    an epoch, None if nobody knows; `done` of the `epochs` another process has done, whose run goes on.

    A tiny network's epoch takes some microseconds: so between two looks there is no work but to ask for the
    time.
    """

    def __init__(self, epochs: int, samples: int | None, show: bool | str, done: int = 0) -> None:
        self._display = _display(epochs, samples, show, done) if epochs > done else None
        self._waiting = 0  # samples not shown yet
        self._done = done  # epochs
        self._values: Mapping[str, Any] = {}
        self._due = self._due_in_epoch = 0.0
        if self._display is not None:
            self._due_in_epoch = time.perf_counter() + self._display.patience

    def skip(self, samples: int) -> None:
        """So many samples of the epoch at hand, too, another process has done."""
        if self._display is not None:
            self._display.skip(samples)

    def advance(self, samples: int, running: Callable[[], Mapping[str, Any]] | None = None) -> None:
        """More samples are done; `running` gives the values of the epoch so far, if they are to be shown."""
        self._waiting += samples
        if self._display is None:
            return
        now = time.perf_counter()
        if now >= self._due_in_epoch:
            self._show(now, self._values if running is None else running())

    def epoch_done(self, number: int, values: Mapping[str, Any]) -> None:
        """Epoch `number` (from 1) of the run is done, with these values."""
        self._done, self._values = number, values
        if self._display is None:
            return
        now = time.perf_counter()
        if now >= self._due:
            self._show(now, values, True)

    def _show(self, now: float, values: Mapping[str, Any], epoch_done: bool = False) -> None:
        assert self._display is not None
        self._display.show(self._done, epoch_done, self._waiting, values)
        self._waiting = 0
        self._due = now + self._display.interval
        self._due_in_epoch = now + self._display.patience

    def close(self) -> None:
        """Shows what has not been shown yet, and leaves it there."""
        if self._display is not None:
            self._display.close(self._done, self._waiting, self._values)
            self._display = None


class _Display(Protocol):
    interval: float  # seconds from one look to an epoch's end that is shown
    patience: float  # seconds from one look to the next within an epoch

    def skip(self, samples: int) -> None:
        """These are done, but were not now: they say nothing of the speed."""

    def show(self, done: int, epoch_done: bool, samples: int, values: Mapping[str, Any]) -> None:
        """`done` epochs are done, the last just now if `epoch_done`, and `samples` since the last look."""

    def close(self, done: int, samples: int, values: Mapping[str, Any]) -> None:
        """The run is over."""


def _display(epochs: int, samples: int | None, show: bool | str, done: int) -> _Display | None:
    if show is False or sys.stderr is None:
        return None
    if show is True:
        show = "bar" if _is_terminal() or _in_notebook() else "log"
    return (_Bar if show == "bar" else _Log)(epochs, samples, done)


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):  # of what has taken its place, or was closed
        return False


def _in_notebook() -> bool:
    """Whether this is a Jupyter kernel, whose standard error is no terminal but shows bars."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def _bar_class() -> Any:
    """tqdm's bar for a notebook that has ipywidgets, else the one made of text."""
    # Imported late: `import bpcore` should cost nothing. tqdm.auto would warn of missing ipywidgets.
    if _in_notebook():
        from tqdm import notebook

        if notebook.IProgress is not None:
            return notebook.tqdm
    from tqdm import tqdm

    return tqdm


class _Bar:
    """One bar for all epochs, in samples, between the epoch and the last values."""

    interval = patience = _SECONDS_OF_BAR

    def __init__(self, epochs: int, samples: int | None, done: int) -> None:
        self._epochs = epochs
        self._values: dict[str, Any] = {}
        # Its own limits on drawing are off: it is only called when something should be drawn.
        self._bar = _bar_class()(
            total=None if samples is None else epochs * samples,
            initial=done * (samples or 0),
            unit=" samples",
            unit_scale=True,
            dynamic_ncols=True,
            mininterval=0,
            miniters=1,
            desc=f"epoch {done + 1}/{epochs}",
        )

    def skip(self, samples: int) -> None:
        for count in ("n", "initial", "last_print_n"):
            setattr(self._bar, count, getattr(self._bar, count) + samples)

    def show(self, done: int, epoch_done: bool, samples: int, values: Mapping[str, Any]) -> None:  # noqa: ARG002 - the protocol
        self._bar.set_description_str(f"epoch {min(done + 1, self._epochs)}/{self._epochs}", refresh=False)
        self._values |= values  # those of validation stay while the next epoch runs
        self._bar.set_postfix_str(_text(self._values), refresh=False)
        self._bar.update(samples)

    def close(self, done: int, samples: int, values: Mapping[str, Any]) -> None:
        self.show(done, True, samples, values)
        self._bar.close()


class _Log:
    """Lines on standard error, without control characters."""

    interval = _SECONDS_OF_EPOCHS
    patience = _SECONDS_WITHIN_EPOCH

    def __init__(self, epochs: int, samples: int | None, done: int) -> None:
        self._epochs = epochs
        self._samples = samples
        self._total = done * (samples or 0)  # samples so far
        self._shown = done  # the last epoch that has a line
        self._since = time.perf_counter()

    def skip(self, samples: int) -> None:
        self._total += samples

    def show(self, done: int, epoch_done: bool, samples: int, values: Mapping[str, Any]) -> None:
        now = time.perf_counter()
        self._total += samples
        number = done if epoch_done else done + 1
        parts = [f"epoch {number}/{self._epochs}" + ("" if epoch_done else self._place(done))]
        parts += [text] if (text := _text(values)) else []
        parts.append(f"{samples / max(now - self._since, 1e-9):,.0f} samples/s")
        self._shown, self._since = max(self._shown, done), now
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more; tqdm does so, too
            sys.stderr.write(f"{', '.join(parts)}\n")
            sys.stderr.flush()

    def _place(self, done: int) -> str:
        """How far the epoch is that follows `done` others."""
        if self._samples is None:
            return f" ({self._total:,} samples so far)"
        return f" ({(self._total - done * self._samples) / self._samples:.0%})"

    def close(self, done: int, samples: int, values: Mapping[str, Any]) -> None:
        if done > self._shown:
            self.show(done, True, samples, values)


def _text(values: Mapping[str, Any]) -> str:
    """Numbers by name; what is no single number, as a confusion matrix, is left out."""
    return ", ".join(f"{name} {value:.4g}" for name, value in scalars(values).items())
