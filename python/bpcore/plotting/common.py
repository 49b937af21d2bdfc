"""What all pictures share. matplotlib is imported when something is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os

__all__ = [
    "MUTED",
    "TRAINING",
    "VALIDATION",
    "figure_of",
    "grid_of",
    "panels_of",
    "styled",
    "titled",
    "written",
]

# Blue and orange differ in lightness, too, so that they can be told apart without colour.
TRAINING, VALIDATION, MUTED = "#1f5fa8", "#d9662b", "0.35"


def figure_of(width: float, height: float) -> Any:
    """An empty figure, in inches; ImportError without matplotlib."""
    try:
        from matplotlib.figure import Figure  # no pyplot: that would choose a window system
    except ImportError:
        raise ImportError("plotting needs matplotlib: pip install matplotlib") from None
    return Figure(figsize=(width, height), layout="constrained")


def panels_of(count: int, width: float = 5.2, stacked: bool = False) -> tuple[Any, Any]:
    """A figure and its panels, side by side unless stacked; ImportError without matplotlib."""
    return grid_of(*((count, 1, width, 3.0) if stacked else (1, count, width, 3.6)))


def grid_of(rows: int, columns: int, width: float, height: float) -> tuple[Any, Any]:
    """A figure and its panels, row by row, each so wide and high in inches; ImportError as above."""
    figure = figure_of(width * columns, height * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        styled(panel)
    return figure, panels


def styled(panel: Any) -> None:
    """A quiet grid, and no frame."""
    panel.grid(visible=True, color="0.9", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def titled(panel: Any, title: str, note: str = "") -> None:
    """A title on the left, and a note on the right, a line lower if there is no room for both in one."""
    inches = panel.figure.get_figwidth() * panel.get_position().width
    beside = 0.1 * len(title) + 0.065 * len(note) < inches  # widths of characters in these sizes
    text = title if beside or not note else f"{title}\n"
    panel.set_title(text, loc="left", fontsize=11, fontweight="bold", parse_math=False)
    if note:
        panel.set_title(note, loc="right", fontsize=8, color=MUTED, parse_math=False)


def written(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """Writes the picture to `path`; without one, returns it."""
    if path is None:
        return figure
    figure.savefig(path, dpi=150)
    return None
