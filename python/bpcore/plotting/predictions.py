"""Predictions against truth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.plotting.common import MUTED, TRAINING, VALIDATION, grid_of, titled, written

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from bpcore.basics.arrays import Array

__all__ = ["plot_predictions"]

_WHO = "plot_predictions"
_MOST_OUTPUTS, _COLUMNS = 8, 4
_MOST_POINTS = 5000


def plot_predictions(
    *,
    prediction: Any,
    target: Any,
    names: Sequence[Any] | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draws, for each output of a regression, predictions against targets, and residuals.

    Above: a point for each sample, the diagonal where both agree, R² = 1 - Σ(t - p)² / Σ(t - mean t)², and
    the root mean square of the residuals. Below: residuals, prediction - target, against predictions; any
    pattern in them is something that the model has not learned. Which array is which is always said by name:
    losses take the prediction first, scikit-learn the target, and the picture of the one for the other looks
    plausible.

    Args:
        prediction: (samples,) or (samples, outputs), as `Trainer.predict` gives it.
        target: the same, but for a last axis of size 1, which either may lack.
        names: one for each output; "output 0", ... unless given.
        path: where to write the picture; without one, the result is a figure, as of `plot_history`.

    The first 8 outputs are drawn, and of each 5,000 points at most, evenly chosen; figures are of all
    samples. Raises ValueError for other shapes, no samples, values that are not finite, as many names as
    there are no outputs; ImportError without matplotlib.
    """
    p, t = _column(prediction, "prediction"), _column(target, "target")
    if p.shape != t.shape:
        raise ValueError(f"{_WHO}: prediction is {np.shape(prediction)}, target {np.shape(target)}")
    outputs = p.shape[1]
    if names is not None and len(names) != outputs:
        raise ValueError(f"{_WHO}: expected {outputs} names, one an output, got {len(names)}")
    titles = [f"output {i}" for i in range(outputs)] if names is None else [str(each) for each in names]
    if outputs == 1 and names is None:
        titles = ["prediction"]
    count = min(outputs, _MOST_OUTPUTS)
    columns = min(count, _COLUMNS)
    figure, panels = grid_of(2 * math.ceil(count / columns), columns, 4.4 if count < 3 else 3.8, 3.2)
    chosen = np.linspace(0, len(p) - 1, min(len(p), _MOST_POINTS)).astype(int)
    style = {"s": 9 if len(chosen) < 1000 else 4, "alpha": 0.45, "color": TRAINING, "linewidths": 0}
    for i in range(count):
        residuals = p[:, i] - t[:, i]
        at = 2 * columns * (i // columns) + i % columns
        above, below = panels[at], panels[at + columns]
        above.scatter(t[chosen, i], p[chosen, i], **style)
        ends = [min(t[:, i].min(), p[:, i].min()), max(t[:, i].max(), p[:, i].max())]
        above.plot(ends, ends, color=VALIDATION, linewidth=1.2, label="target = prediction")
        titled(above, titles[i], f"{_r2(t[:, i], residuals)}, RMSE {np.sqrt(np.mean(residuals**2)):.3g}")
        above.set_xlabel("target")
        below.scatter(p[chosen, i], residuals[chosen], **style)
        below.axhline(0, color=VALIDATION, linewidth=1.2)
        below.set_xlabel("prediction")
        if i % columns == 0:
            above.set_ylabel("prediction")
            below.set_ylabel("prediction - target")
    panels[0].legend(fontsize=8, loc="upper left", framealpha=0.8, edgecolor="none")
    for panel in panels:
        if not panel.has_data():
            panel.remove()
    if outputs > count:
        figure.supxlabel(f"the first {count} of {outputs} outputs", fontsize=8, color=MUTED)
    return written(figure, path)


def _column(values: Any, name: str) -> Array:
    """`values` (samples, outputs), float64."""
    array: Array = np.asarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{_WHO}: {name} must be numbers, got {array.dtype}")
    if array.ndim not in (1, 2) or (array.ndim == 2 and not array.shape[1]):
        raise ValueError(f"{_WHO}: {name} must be (samples,) or (samples, outputs), got {array.shape}")
    if not len(array):
        raise ValueError(f"{_WHO}: {name} holds no samples")
    if not np.isfinite(array).all():
        raise ValueError(f"{_WHO}: {name} holds values that are not finite")
    return array.reshape(len(array), -1).astype(np.float64)


def _r2(target: Array, residuals: Array) -> str:
    spread = float(np.sum((target - target.mean()) ** 2))
    return f"R² {1 - float(np.sum(residuals**2)) / spread:.4f}" if spread else "all targets are the same"
