"""Curves of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.plotting.common import MUTED, TRAINING, VALIDATION, grid_of, titled, written

if TYPE_CHECKING:
    import os

    from bpcore.watching.history import History

__all__ = ["plot_history"]

_COLUMNS = 3


def plot_history(history: History, *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws one panel for the loss and for each metric that is a number, training and validation, by epoch.

    Where there are validation losses, the epoch of the least is marked in all panels. What is no number, as a
    confusion matrix of each epoch, has no panel; see `plot_confusion`.

    With `path`, writes a picture there (its ending says the format); otherwise, returns a matplotlib figure
    that a notebook shows. Raises ImportError without matplotlib, ValueError for a history without epochs.
    """
    if not history:
        raise ValueError("plot_history: the history has no epochs")
    numbers = history.curves()
    names = list(dict.fromkeys(name.removeprefix("val_") for name in numbers))
    columns = min(len(names), _COLUMNS)
    figure, panels = grid_of(math.ceil(len(names) / columns), columns, 5.2, 3.6)
    from matplotlib.ticker import MaxNLocator

    best = _best(history)
    for panel, name in zip(panels, names, strict=False):
        series = [
            (key, label, color, line)
            for key, label, color, line in (
                (name, "training", TRAINING, "-"),
                (f"val_{name}", "validation", VALIDATION, "--"),
            )
            if key in numbers
        ]
        marker = "o" if len(history.epochs) <= 30 else None
        for key, label, color, line in series:
            style = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.6}
            panel.plot(history.epochs, history[key], line, label=label, **style)
        last = ", ".join(f"{label} {history[key][-1]:.4g}" for key, label, _, _ in series)
        titled(panel, name, f"last: {last}")
        panel.set_xlabel("epoch")
        panel.set_xlim(history.epochs[0] - 0.5, history.epochs[-1] + 0.5)  # there is no epoch 0
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if best is not None:
            note = f"least validation loss: epoch {best}" if name == "loss" else None
            panel.axvline(best, color=MUTED, linewidth=1, linestyle=":", label=note)
        if len(series) > 1:
            panel.legend(fontsize=8, framealpha=0.8, edgecolor="none")
    for panel in panels[len(names) :]:
        panel.remove()
    return written(figure, path)


def _best(history: History) -> int | None:
    """The epoch of the least validation loss, None if there is none."""
    if "val_loss" not in history or not np.isfinite(losses := history["val_loss"]).any():
        return None
    return history.epochs[int(np.nanargmin(losses))]
