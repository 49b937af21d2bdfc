"""The picture of a confusion matrix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bpcore.plotting import plot_confusion

pytest.importorskip("matplotlib")

MATRIX = np.array([[8, 2, 0], [1, 3, 0], [0, 0, 0]])


def _cells(figure: Any) -> dict[tuple[int, int], str]:
    return {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in figure.axes[0].texts
    }


@pytest.mark.parametrize(
    ("normalize", "shown", "texts"),
    [
        (None, MATRIX, ["8", "2", "1", "3"]),
        ("true", [[0.8, 0.2, 0], [0.25, 0.75, 0], [0, 0, 0]], ["80%", "20%", "25%", "75%"]),
        ("pred", [[8 / 9, 0.4, 0], [1 / 9, 0.6, 0], [0, 0, 0]], ["89%", "40%", "11%", "60%"]),
        ("all", MATRIX / 14, ["57%", "14%", "7%", "21%"]),
    ],
)
def test_cells_show_numbers_or_shares(normalize: Any, shown: Any, texts: list[str]) -> None:
    figure = plot_confusion(MATRIX, normalize=normalize)
    panel = figure.axes[0]
    np.testing.assert_allclose(panel.images[0].get_array(), shown)
    assert _cells(figure) == dict(zip([(0, 0), (0, 1), (1, 0), (1, 1)], texts, strict=True))
    assert (panel.get_xlabel(), panel.get_ylabel()) == ("predicted class", "true class")
    assert panel.get_title("left") == "accuracy 78.6%"


def test_labels_stand_at_rows_and_columns(tmp_path: Path) -> None:
    names = ["a cat", "a dog", "something else"]
    panel = plot_confusion(MATRIX, labels=names).axes[0]
    assert [text.get_text() for text in panel.get_xticklabels()] == names
    assert [text.get_text() for text in panel.get_yticklabels()] == names
    assert plot_confusion(MATRIX, labels=names, path=tmp_path / "confusion.svg") is None
    assert "<svg" in (tmp_path / "confusion.svg").read_text("utf-8")


def test_labels_are_no_formulas_and_leave_room_for_the_matrix(tmp_path: Path) -> None:
    plot_confusion(MATRIX, labels=[r"$\none$", "from $5 to $10", "more"], path=tmp_path / "confusion.svg")
    figure = plot_confusion(MATRIX, labels=["a cat", "a dog", "something else that has quite a long name"])
    figure.draw_without_rendering()
    assert figure.axes[0].get_window_extent().width / figure.dpi > 2  # inches


def test_many_classes_have_colours_only() -> None:
    figure = plot_confusion(np.ones((150, 150), int))
    assert not figure.axes[0].texts
    assert len(figure.axes[0].get_xticks()) <= 60


@pytest.mark.parametrize(
    ("matrix", "options", "error", "fragment"),
    [
        (np.ones((2, 3)), {}, ValueError, r"must have the shape \(classes, classes\), got \(2, 3\)"),
        (np.ones(4), {}, ValueError, "must have the shape"),
        (np.ones((0, 0)), {}, ValueError, "must have the shape"),
        (np.zeros((2, 2)), {}, ValueError, "the matrix holds no samples"),
        ([[1, -1], [0, 1]], {}, ValueError, "at least 0 everywhere"),
        ([[1, np.nan], [0, 1]], {}, ValueError, "must be finite"),
        ([["a", "b"], ["c", "d"]], {}, TypeError, "matrix must be numbers"),
        (np.ones((2, 2)), {"labels": ["a"]}, ValueError, "expected 2 labels, one a class, got 1"),
        (np.ones((2, 2)), {"normalize": "rows"}, ValueError, 'must be "true", "pred", "all" or None'),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused(matrix: Any, options: Any, error: type, fragment: str) -> None:
    with pytest.raises(error, match=fragment):
        plot_confusion(matrix, **options)
