"""Which classes are taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bpcore.plotting.common import figure_of, titled, written

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array

__all__ = ["plot_confusion"]

_WHO = "plot_confusion"
_MOST_WRITTEN = 20  # classes whose cells have numbers


def plot_confusion(
    matrix: Any,
    *,
    labels: Sequence[Any] | None = None,
    normalize: Literal["true", "pred", "all"] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws a confusion matrix: rows are true classes, columns predicted ones, as in scikit-learn.

    Args:
        matrix: (classes, classes), numbers of samples, ≥ 0.
        labels: names of the classes, 0, 1, ... unless given.
        normalize: shows shares in place of numbers: "true", of each row's sum (what happens to a class);
            "pred", of each column's; "all", of all samples. A row or column without samples is 0.
        path: where to write the picture; without one, the result is a figure, as of `plot_history`.

    Up to 20 classes, each cell has its number. Raises ValueError for another shape, negative numbers, a
    matrix of zeros, as many labels as there are no classes, and another `normalize`; ImportError without
    matplotlib.
    """
    counts = _checked(matrix)
    classes = len(counts)
    names = [str(each) for each in (range(classes) if labels is None else labels)]
    if len(names) != classes:
        raise ValueError(f"{_WHO}: expected {classes} labels, one a class, got {len(names)}")
    shown = _normalized(counts, normalize)
    some = range(0, classes, 1 + (classes - 1) // 60)
    side = min(max(3.6, 1.8 + (0.52 if classes <= _MOST_WRITTEN else 0.16) * classes), 14.0)
    longest = max(map(len, names))
    turned = 90 if longest > 13 * (side - 1.2) / classes * len(some) / classes else 0
    beside = min(max(0.08 * (longest - 12), 0.0), 4.0)  # inches that long names want
    figure = figure_of(side + 0.9 + beside, side + (beside if turned else 0))
    panel = figure.subplots()
    most = 1.0 if normalize in ("true", "pred") else float(shown.max())
    image = panel.imshow(shown, cmap="Blues", vmin=0, vmax=most)
    bar = figure.colorbar(image, ax=panel, shrink=0.8, aspect=30, label=_meaning(normalize))
    bar.outline.set_visible(False)
    if classes <= _MOST_WRITTEN:
        _write_cells(panel, counts, shown, normalize, most)
    panel.set_xticks(some, [names[i] for i in some], rotation=turned, fontsize=8, parse_math=False)
    panel.set_yticks(some, [names[i] for i in some], fontsize=8, parse_math=False)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    panel.set_xlabel("predicted class")
    panel.set_ylabel("true class")
    total = counts.sum()
    titled(panel, f"accuracy {np.trace(counts) / total:.1%}", f"{total:,.0f} samples")
    return written(figure, path)


def _checked(matrix: Any) -> Array:
    counts: Array = np.asarray(matrix)
    if counts.dtype.kind not in "buif":
        raise TypeError(f"{_WHO}: matrix must be numbers, got {counts.dtype}")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"{_WHO}: matrix must have the shape (classes, classes), got {counts.shape}")
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(f"{_WHO}: matrix must be finite and at least 0 everywhere")
    if not counts.any():
        raise ValueError(f"{_WHO}: the matrix holds no samples")
    return counts.astype(np.float64)


def _normalized(counts: Array, normalize: Any) -> Array:
    if normalize is None:
        return counts
    if normalize not in ("true", "pred", "all"):
        raise ValueError(f'{_WHO}: normalize must be "true", "pred", "all" or None, got {normalize!r}')
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    sums = counts.sum(axis=axis, keepdims=True)
    shares: Array = np.divide(counts, sums, out=np.zeros_like(counts), where=sums > 0)
    return shares


def _meaning(normalize: str | None) -> str:
    of = {"true": "of the true class", "pred": "of the predicted class", "all": "of all samples"}
    return "samples" if normalize is None else f"share {of[normalize]}"


def _write_cells(panel: Any, counts: Array, shown: Array, normalize: str | None, most: float) -> None:
    """The number in each cell that has samples, in a colour that can be read there."""
    for row, column in np.argwhere(counts > 0):
        value = shown[row, column]
        number = f"{value:,.0f}" if value == round(value) else f"{value:.3g}"
        text = number if normalize is None else f"{value:.0%}" if value >= 0.01 else "<1%"
        color = "white" if value > 0.5 * most else "0.15"
        size = 8 if len(text) <= 5 else 6.5 if len(text) <= 7 else 5
        panel.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
