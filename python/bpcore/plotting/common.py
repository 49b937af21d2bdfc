"""What all pictures share. matplotlib is imported when something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

__all__ = ["TRAINING", "VALIDATION", "panels_of", "written"]

TRAINING, VALIDATION = "#1f5fa8", "#d9662b"


def panels_of(count: int, width: float = 5.2, stacked: bool = False) -> tuple[Any, Any]:
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


def written(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Writes the picture to `path`; without one, returns it."""
    if path is None:
        return figure
    figure.savefig(path, dpi=150)
    return None
