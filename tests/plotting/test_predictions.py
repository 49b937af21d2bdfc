"""Predictions against truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpcore.plotting import plot_predictions

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)
TARGET = RNG.normal(size=(40, 3))
PREDICTION = TARGET + 0.1 * RNG.normal(size=(40, 3))


def _visible(figure: Any) -> list[Any]:
    return [panel for panel in figure.axes if panel.get_visible()]


def test_points_diagonal_and_residuals(tmp_path: Path) -> None:
    p, t = PREDICTION[:, 0], TARGET[:, 0]
    figure = plot_predictions(prediction=p, target=t)
    above, below = _visible(figure)
    np.testing.assert_allclose(above.collections[0].get_offsets(), np.stack([t, p], 1))
    np.testing.assert_allclose(below.collections[0].get_offsets(), np.stack([p, p - t], 1))
    diagonal = above.get_lines()[0]
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    r2 = 1 - np.sum((p - t) ** 2) / np.sum((t - t.mean()) ** 2)
    assert above.get_title("right") == f"R² {r2:.4f}, RMSE {np.sqrt(np.mean((p - t) ** 2)):.3g}"
    assert (above.get_xlabel(), above.get_ylabel()) == ("target", "prediction")
    assert plot_predictions(prediction=p, target=t, path=tmp_path / "predictions.png") is None
    assert (tmp_path / "predictions.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("outputs", "panels"), [(1, 2), (3, 6), (5, 10), (8, 16), (11, 16)])
def test_each_output_has_two_panels_up_to_a_limit(outputs: int, panels: int) -> None:
    values = RNG.normal(size=(20, outputs))
    figure = plot_predictions(prediction=values, target=values, names=[f"y{i}" for i in range(outputs)])
    shown = _visible(figure)
    assert len(shown) == panels
    titles = [panel.get_title("left") for panel in shown if panel.get_title("left")]
    assert titles == [f"y{i}" for i in range(min(outputs, 8))]
    note = figure._supxlabel.get_text() if figure._supxlabel else ""
    assert note == ("the first 8 of 11 outputs" if outputs > 8 else "")


def test_a_last_axis_of_one_may_be_missing() -> None:
    for p, t in ((PREDICTION[:, :1], TARGET[:, 0]), (PREDICTION[:, 0], TARGET[:, :1])):
        assert len(_visible(plot_predictions(prediction=p, target=t))) == 2


def test_many_samples_are_drawn_in_part_and_counted_in_whole() -> None:
    p, t = RNG.normal(size=20_000), RNG.normal(size=20_000)
    above = plot_predictions(prediction=p, target=t).axes[0]
    assert len(above.collections[0].get_offsets()) == 5000
    assert f"RMSE {np.sqrt(np.mean((p - t) ** 2)):.3g}" in above.get_title("right")


def test_targets_that_are_all_the_same_have_no_r2() -> None:
    panel = plot_predictions(prediction=np.arange(4.0), target=np.ones(4)).axes[0]
    assert panel.get_title("right").startswith("all targets are the same")


@pytest.mark.parametrize(
    ("prediction", "target", "options", "error", "fragment"),
    [
        (np.ones(3), np.ones(4), {}, ValueError, r"prediction is \(3,\), target \(4,\)"),
        (np.ones((3, 2)), np.ones(3), {}, ValueError, r"prediction is \(3, 2\), target \(3,\)"),
        (np.ones((3, 2, 2)), np.ones((3, 2, 2)), {}, ValueError, r"must be \(samples,\) or"),
        (np.ones(0), np.ones(0), {}, ValueError, "prediction holds no samples"),
        ([1, np.nan], [1, 2], {}, ValueError, "prediction holds values that are not finite"),
        ([1, 2], ["a", "b"], {}, TypeError, "target must be numbers"),
        (np.ones(3), np.ones(3), {"names": ["a", "b"]}, ValueError, "expected 1 names"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    prediction: Any, target: Any, options: Any, error: type, fragment: str
) -> None:
    with pytest.raises(error, match=fragment):
        plot_predictions(prediction=prediction, target=target, **options)
