"""Plots, with matplotlib (``pip install bpcore[plot]``), which is imported when something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import os

    from bpcore.health import Health
    from bpcore.history import History

__all__ = ["plot_health", "plot_history"]

_TRAINING, _VALIDATION = "#1f5fa8", "#d9662b"


def plot_history(history: History, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws one panel for the loss and one for each metric, training and validation together, by epoch.

    With `path`, writes a picture there (its ending says the format); otherwise, returns a matplotlib figure
    that a notebook shows. Raises ImportError without matplotlib, ValueError for a history without epochs.
    """
    if not len(history):
        raise ValueError("plot_history: the history has no epochs")
    names = [name for name in history if not name.startswith("val_")]
    figure, panels = _panels(len(names))
    from matplotlib.ticker import MaxNLocator

    for panel, name in zip(panels, names, strict=True):
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
        if len(series) > 1:
            panel.legend(frameon=False)
    return _written(figure, path)


def plot_health(health: Health, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws, by layer, gradients of an element, updates relative to weights, and shares of idle units.

    Each panel shows the first measured step, the middle one and the last. `path`, the result and ImportError
    are those of `plot_history`; ValueError if nothing was measured.
    """
    steps = health.steps
    if not len(steps):
        raise ValueError("plot_health: no step was measured")
    idle = {**health.dead, **health.saturated}
    width = min(max(6.0, 1.5 + 0.25 * len(health.layers)), 12.0)
    figure, panels = _panels(3 if idle else 2, width=width, stacked=True)
    shown = sorted({0, len(steps) // 2, len(steps) - 1})
    series = [
        ("gradient, root mean square", health.layers, health.gradient_rms, True),
        ("update / weight", health.layers, health.update_ratios, True),
    ]
    if idle:
        shares = np.stack(list(idle.values()), axis=1)
        name = " or ".join([*(["dead"] if health.dead else []), *(["saturated"] if health.saturated else [])])
        series.append((f"share of {name} units", tuple(idle), shares, False))
    for panel, (title, layers, values, by_power) in zip(panels, series, strict=True):
        for color, at in zip(("#9fc1e6", "#4d8ac9", _TRAINING)[-len(shown) :], shown, strict=True):
            row = np.where(values[at] > 0, values[at], np.nan) if by_power else values[at]
            panel.plot(range(len(layers)), row, "o-", color=color, markersize=3.5, label=f"step {steps[at]}")
        panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
        some = range(0, len(layers), 1 + (len(layers) - 1) // 45)
        panel.set_xticks(some, [layers[i] or "model" for i in some], rotation=90, fontsize=8)
        if by_power and np.any(values[shown] > 0):
            panel.set_yscale("log")
        elif not by_power:
            panel.set_ylim(-0.03, 1.03)
    panels[-1].set_xlabel("layer, input to output")
    panels[0].legend(frameon=False)
    return _written(figure, path)


def _panels(count: int, width: float = 5.2, stacked: bool = False) -> tuple[Any, Any]:
    """A figure and its panels, side by side unless stacked; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # no pyplot: that would choose a window system
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install bpcore[plot]") from None
    size = (width, 3.0 * count) if stacked else (width * count, 3.6)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(*((count, 1) if stacked else (1, count)), squeeze=False).ravel()
    for panel in panels:
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _written(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    if path is None:
        return figure
    figure.savefig(path, dpi=150)
    return None
