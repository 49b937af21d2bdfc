"""What `Trainer.fit` returns: the values of each epoch."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

__all__ = ["History", "scalars"]


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the values that are numbers, for who shows a line of them; a confusion matrix is none."""
    return {name: value for name, value in values.items() if np.ndim(value) == 0}


class History(dict[str, list[Any]]):
    """Values by epoch: ``history["val_loss"]`` is a list with one float for each finished epoch.

    It is a dict of such lists, empty before the first epoch is done, with "loss", metrics, and the same with
    "val_" where there was validation: ``pandas.DataFrame(history, index=history.epochs)`` is a table. Values
    of a metric that is an array, as "confusion_matrix", are arrays.

    `epochs` numbers them, counted from 1 over all calls of `fit` of one trainer, `before` of which are in
    earlier histories; `seconds` is the time each took, validation included. `names` are those of the values,
    known before the first epoch is done.

    `stopped` says in a few words what ended the run, None before: "epochs" if all are done; "time"; "tol";
    "early_stopping: ..."; "not_finite: ..."; what a callback gave to `trainer.stop`; "stop_training" if it
    gave no reason; "interrupted" by Ctrl-C; or the exception that `fit` raised.
    """

    def __init__(self, before: int = 0, names: Iterable[str] = ()) -> None:
        super().__init__()
        self._before = before
        self.names = tuple(names)
        self.stopped: str | None = None
        self._seconds: list[float] = []

    def append(self, seconds: float, values: Mapping[str, Any]) -> None:
        """Adds a finished epoch, in one go: an interrupted run never leaves half of one."""
        self._seconds[self.last_epoch - self._before :] = [seconds]
        if not self:
            self.update({name: [value] for name, value in values.items()})
            return
        columns = [self[name] for name in values]
        # All at once: neither Ctrl-C nor another thread comes between the steps of a single call in C.
        deque(map(list.append, columns, values.values()), maxlen=0)

    def config(self) -> dict[str, Any]:
        """What `from_config` makes the same history of."""
        return {
            "before": self._before,
            "names": list(self.names),
            "rows": [
                [seconds, {name: column[at] for name, column in self.items()}]
                for at, seconds in enumerate(self.seconds)
            ],
            "stopped": self.stopped,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> History:
        """The history that `config` tells of."""
        history = cls(config["before"], config["names"])
        for seconds, values in config["rows"]:
            history.append(float(seconds), values)
        history.stopped = config.get("stopped")
        return history

    @property
    def last_epoch(self) -> int:
        """Number of the last finished epoch, which is how many there were."""
        return self._before + len(next(iter(self.values()), ()))

    @property
    def epochs(self) -> list[int]:
        """Numbers of the finished epochs."""
        return list(range(self._before + 1, self.last_epoch + 1))

    @property
    def seconds(self) -> list[float]:
        """Wall-clock seconds of each finished epoch."""
        return self._seconds[: self.last_epoch - self._before]

    def __missing__(self, name: str) -> list[Any]:
        raise KeyError(f"no {name!r} in the history; it has {', '.join(self) or 'no epochs'}")

    def curves(self) -> list[str]:
        """The names of those that are numbers, which can be drawn by epoch."""
        return list(scalars({name: column[0] for name, column in self.items()}))

    def plot(self, *, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the curves of loss and metrics; see `bpcore.plotting.plot_history`. Needs matplotlib."""
        from bpcore.plotting import plot_history

        return plot_history(self, path=path)

    def __repr__(self) -> str:
        why = "" if self.stopped in (None, "epochs") else f"; {self.stopped}"
        if not self:
            return f"History(no epochs{why})"
        last = scalars({name: column[-1] for name, column in self.items()})
        values = ", ".join(f"{name} {value:.4g}" for name, value in last.items())
        count = len(self.epochs)
        epochs = f"{count} epoch{'s' if count > 1 else ''} in {sum(self.seconds):.3g} s"
        return f"History({epochs}; last: {values}{self._best()}{why})"

    def _best(self) -> str:
        """Where the validation loss was least, in words."""
        known = zip(self.get("val_loss", ()), self.epochs, strict=False)
        finite = [pair for pair in known if math.isfinite(pair[0])]
        if not finite:
            return ""
        loss, epoch = min(finite)
        return f"; least val_loss {loss:.4g} in epoch {epoch}"
