"""What `Trainer.fit` returns: the values of each epoch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["History", "scalars"]


def scalars(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the values that are numbers, for who shows a line of them; a confusion matrix is none."""
    return {name: value for name, value in values.items() if np.ndim(value) == 0}


class History:
    """Values by epoch: ``history["val_loss"]`` is a list with one float for each finished epoch.

    Values of a metric that is an array, as "confusion_matrix", are arrays.

    `epochs` numbers them, counted from 1 over all calls of `fit` of one trainer, `before` of which are in
    earlier histories; `seconds` is the time each took, validation included. `names` are those of the values,
    known before the first epoch is done.

    `stopped` says in a few words what ended the run, None before: "epochs" if all are done; "time"; "tol";
    "early_stopping: ..."; "not_finite: ..."; what a callback gave to `trainer.stop`; "stop_training" if it
    gave no reason; "interrupted" by Ctrl-C; or the exception that `fit` raised.
    """

    def __init__(self, before: int = 0, names: Iterable[str] = ()) -> None:
        self._before = before
        self.names = tuple(names)
        self.stopped: str | None = None
        self._rows: list[tuple[float, dict[str, Any]]] = []

    def append(self, seconds: float, values: Mapping[str, Any]) -> None:
        """Adds a finished epoch, in one go: an interrupted run never leaves half of one."""
        self._rows.append((seconds, dict(values)))

    def config(self) -> dict[str, Any]:
        """What `from_config` makes the same history of."""
        return {
            "before": self._before,
            "names": list(self.names),
            "rows": [list(row) for row in self._rows],
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
        return self._before + len(self._rows)

    @property
    def epochs(self) -> list[int]:
        """Numbers of the finished epochs."""
        return list(range(self._before + 1, self.last_epoch + 1))

    @property
    def seconds(self) -> list[float]:
        """Wall-clock seconds of each finished epoch."""
        return [seconds for seconds, _ in self._rows]

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self:
            raise KeyError(f"no {name!r} in the history; it has {', '.join(self) or 'no epochs'}")
        return [values[name] for _, values in self._rows]

    def __contains__(self, name: object) -> bool:
        return bool(self._rows) and name in self._rows[0][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows[0][1] if self._rows else ())

    def keys(self) -> list[str]:
        """Names of the values: "loss", metrics, and the same with "val_" where there was validation."""
        return list(self)

    def curves(self) -> list[str]:
        """The names of those that are numbers, which can be drawn by epoch."""
        return list(scalars(self._rows[0][1])) if self._rows else []

    def __len__(self) -> int:
        return len(self._rows)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Draws the curves of loss and metrics; see `bpcore.plotting.plot_history`. Needs matplotlib."""
        from bpcore.plotting import plot_history

        return plot_history(self, path)

    def __repr__(self) -> str:
        why = "" if self.stopped in (None, "epochs") else f"; {self.stopped}"
        if not self._rows:
            return f"History(no epochs{why})"
        values = ", ".join(f"{name} {value:.4g}" for name, value in scalars(self._rows[-1][1]).items())
        epochs = f"{len(self)} epoch{'s' if len(self) > 1 else ''} in {sum(self.seconds):.3g} s"
        return f"History({epochs}; last: {values}{self._best()}{why})"

    def _best(self) -> str:
        """Where the validation loss was least, in words."""
        known = [(values.get("val_loss", math.nan), at) for at, (_, values) in enumerate(self._rows)]
        finite = [pair for pair in known if math.isfinite(pair[0])]
        if not finite:
            return ""
        loss, at = min(finite)
        return f"; least val_loss {loss:.4g} in epoch {self.epochs[at]}"
