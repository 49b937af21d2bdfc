"""The flow of gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.plotting.common import TRAINING, panels_of, titled, written

if TYPE_CHECKING:
    import os

    from bpcore.watching.health import Health

__all__ = ["plot_health"]


def plot_health(health: Health, *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws, by layer, gradients of an element, updates relative to weights, and shares of idle units.

    Each panel shows the first measured step, the middle one and the last. `path`, the result and ImportError
    are those of `plot_history`; ValueError if nothing was measured.
    """
    steps = health.steps
    if not len(steps):
        raise ValueError("plot_health: no step was measured")
    idle = health.idle
    width = min(max(6.0, 1.5 + 0.25 * len(health.layers)), 12.0)
    figure, panels = panels_of(3 if idle else 2, width=width, stacked=True)
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
        for color, at in zip(("#9fc1e6", "#4d8ac9", TRAINING)[-len(shown) :], shown, strict=True):
            row = np.where(values[at] > 0, values[at], np.nan) if by_power else values[at]
            panel.plot(range(len(layers)), row, "o-", color=color, markersize=3.5, label=f"step {steps[at]}")
        titled(panel, title)
        some = range(0, len(layers), 1 + (len(layers) - 1) // 45)
        names = [layers[i] or "model" for i in some]
        turned = 90 if sum(map(len, names)) > 8 * width else 0
        panel.set_xticks(some, names, rotation=turned, fontsize=8)
        panel.margins(x=0.03)
        if by_power and np.any(values[shown] > 0):
            panel.set_yscale("log")
        elif not by_power:
            panel.set_ylim(-0.03, 1.03)
    panels[-1].set_xlabel("layer, input to output")
    panels[0].tick_params(labelbottom=False)  # they stand below the next one, too
    place = {"loc": "lower right", "bbox_to_anchor": (1.0, 1.0), "borderaxespad": 0.2}
    panels[0].legend(
        **place, ncols=len(shown), frameon=False, fontsize=8, columnspacing=1.2, handlelength=1.5
    )
    return written(figure, path)
