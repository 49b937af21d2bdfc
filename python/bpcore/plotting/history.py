"""Curves of training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore.plotting.common import TRAINING, VALIDATION, panels_of, written

if TYPE_CHECKING:
    import os

    from bpcore.history import History

__all__ = ["plot_history"]


def plot_history(history: History, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws one panel for the loss and for each metric that is a number, training and validation, by epoch.

    With `path`, writes a picture there (its ending says the format); otherwise, returns a matplotlib figure
    that a notebook shows. Raises ImportError without matplotlib, ValueError for a history without epochs.
    """
    if not len(history):
        raise ValueError("plot_history: the history has no epochs")
    names = [name for name in history.curves() if not name.startswith("val_")]
    figure, panels = panels_of(len(names))
    from matplotlib.ticker import MaxNLocator

    for panel, name in zip(panels, names, strict=True):
        marker = "o" if len(history) <= 30 else None
        series = [(name, "training", TRAINING, "-")]
        if f"val_{name}" in history:
            series.append((f"val_{name}", "validation", VALIDATION, "--"))
        for key, label, color, line in series:
            style = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.6}
            panel.plot(history.epochs, history[key], line, label=label, **style)
        last = ", ".join(f"{label} {history[key][-1]:.4g}" for key, label, _, _ in series)
        panel.set_title(name, loc="left", fontsize=11, fontweight="bold")
        panel.set_title(f"last: {last}", loc="right", fontsize=8, color="0.35")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if len(series) > 1:
            panel.legend(frameon=False)
    return written(figure, path)
