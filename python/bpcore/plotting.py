"""Plots, with matplotlib (``pip install bpcore[plot]``), which is imported when something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

    from bpcore.history import History

__all__ = ["plot_history"]

_TRAINING, _VALIDATION = "#1f5fa8", "#d9662b"


def plot_history(history: History, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws one panel for the loss and one for each metric, training and validation together, by epoch.

    With `path`, writes a picture there (its ending says the format); otherwise, returns a matplotlib figure
    that a notebook shows. Raises ImportError without matplotlib, ValueError for a history without epochs.
    """
    if not len(history):
        raise ValueError("plot_history: the history has no epochs")
    try:
        from matplotlib.figure import Figure  # no pyplot: that would choose a window system
        from matplotlib.ticker import MaxNLocator
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install bpcore[plot]") from None

    names = [name for name in history if not name.startswith("val_")]
    figure = Figure(figsize=(5.2 * len(names), 3.6), layout="constrained")
    for panel, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        marker = "o" if len(history) <= 30 else None
        series = [(name, "training", _TRAINING, "-")]
        if f"val_{name}" in history:
            series.append((f"val_{name}", "validation", _VALIDATION, "--"))
        for key, label, color, line in series:
            style = {"color": color, "marker": marker, "markersize": 3.5, "linewidth": 1.6}
            panel.plot(history.epochs, history[key], line, label=label, **style)
        last = ", ".join(f"{label} {history[key][-1]:.4g}" for key, label, _, _ in series)
        panel.set_title(name, loc="left", fontsize=11, fontweight="bold")
        panel.set_title(f"last: {last}", loc="right", fontsize=8, color="0.35")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        if len(series) > 1:
            panel.legend(frameon=False)
    if path is None:
        return figure
    figure.savefig(path, dpi=150)
    return None
