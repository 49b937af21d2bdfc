"""Loss against learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.plotting.common import TRAINING, VALIDATION, panels_of, titled, written

if TYPE_CHECKING:
    import os

    from bpcore.callbacks import LearningRateFinder

__all__ = ["plot_learning_rates"]


def plot_learning_rates(finder: LearningRateFinder, *, path: str | os.PathLike[str] | None = None) -> Any:
    """Draws the losses of a range test against the rates, smoothed and as they were, and the suggestion.

    `path`, the result and ImportError are those of `plot_history`; ValueError if nothing was tried.
    """
    rates, smooth = finder.rates, finder.smoothed
    if not len(rates):
        raise ValueError("plot_learning_rates: no rate has been tried yet; give the finder to fit first")
    figure, (panel,) = panels_of(1, width=6.4)
    panel.plot(rates, finder.losses, color=TRAINING, alpha=0.35, linewidth=1, label="of a batch")
    panel.plot(rates, smooth, color=TRAINING, linewidth=1.8, label="smoothed")
    if finder.mode == "exponential":
        panel.set_xscale("log")
    best, first = float(np.min(smooth)), float(smooth[0])
    room = max(first - best, 0.05 * abs(first)) * 0.5 or 1.0  # where it blows up there is nothing to see
    low, high = min(best, float(np.min(finder.losses))), max(first, float(np.median(finder.losses)))
    panel.set_ylim(low - 0.2 * room, high + room)
    suggestion = finder.suggestion
    if suggestion is not None:
        at = float(smooth[int(np.searchsorted(rates, suggestion))])
        panel.axvline(suggestion, color=VALIDATION, linewidth=1, linestyle="--")
        panel.plot(
            [suggestion], [at], "o", color=VALIDATION, markersize=7, label=f"steepest: {suggestion:.2g}"
        )
    titled(panel, "learning rate range test", "" if not finder.diverged else f"ended at {rates[-1]:.2g}")
    panel.set_xlabel("learning rate")
    panel.set_ylabel("loss")
    panel.legend(fontsize=8, loc="lower left", framealpha=0.8, edgecolor="none")
    return written(figure, path)
