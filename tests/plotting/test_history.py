"""Curves of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore.plotting import plot_history

Text = pytest.importorskip("matplotlib.text").Text


def _history(epochs: int, **values: Any) -> bp.History:
    history = bp.History()
    for epoch in range(epochs):
        history.append(0.1, {name: function(epoch) for name, function in values.items()})
    return history


def _panels(figure: Any) -> dict[str, Any]:
    return {axes.get_title("left"): axes for axes in figure.axes if axes.get_visible()}


def _lines(panel: Any) -> dict[str, Any]:
    return {line.get_label(): list(line.get_ydata()) for line in panel.get_lines()}


def test_a_panel_for_each_metric_with_both_curves(tmp_path: Path) -> None:
    history = _history(5, loss=lambda e: 5.0 - e, accuracy=float, val_loss=lambda e: (e - 2.0) ** 2, lr=float)
    panels = _panels(history.plot())
    assert list(panels) == ["loss", "accuracy", "lr"]
    lines = _lines(panels["loss"])
    assert lines["training"] == history["loss"]
    assert lines["validation"] == history["val_loss"]
    assert panels["loss"].get_xlabel() == "epoch"
    assert plot_history(history, path=tmp_path / "curves.png") is None
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_epoch_of_the_least_validation_loss_is_marked() -> None:
    values = [3.0, np.nan, 1.0, 2.0]
    panels = _panels(_history(4, loss=float, val_loss=lambda e: values[e], mae=float).plot())
    for panel in panels.values():
        (marked,) = [line for line in panel.get_lines() if len(set(line.get_xdata())) == 1]
        assert set(marked.get_xdata()) == {3}
    texts = [text.get_text() for text in panels["loss"].get_legend().get_texts()]
    assert texts[-1] == "least validation loss: epoch 3"
    for absent in ({}, {"val_loss": lambda e: np.nan}):  # noqa: ARG005
        panel = _panels(_history(3, loss=float, **absent).plot())["loss"]
        assert all(len(set(line.get_xdata())) == 3 for line in panel.get_lines())


def test_what_is_no_number_is_left_out() -> None:
    history = _history(2, loss=float, matrix=lambda e: np.eye(2) * e, val_matrix=lambda e: np.eye(2))  # noqa: ARG005
    assert list(_panels(history.plot())) == ["loss"]


def test_many_metrics_take_several_rows() -> None:
    history = _history(2, **dict.fromkeys("abcdefg", float))
    figure = history.plot()
    assert list(_panels(figure)) == list("abcdefg")
    assert figure.get_figwidth() < 17
    assert figure.get_figheight() > 10


def test_a_metric_of_validation_alone_has_a_panel() -> None:
    panels = _panels(_history(2, loss=float, val_only=float).plot())
    assert list(_lines(panels["only"])) == ["validation"]


@pytest.mark.parametrize("name", ["loss", "a_metric_whose_name_leaves_no_room_for_numbers"])
def test_a_title_and_its_note_do_not_overlap(name: str) -> None:
    curves = {name: lambda epoch: 1 / (3 + epoch), f"val_{name}": lambda epoch: 1e-5 / (3 + epoch)}
    figure = plot_history(_history(3, **curves))
    figure.draw_without_rendering()
    (panel,) = figure.axes
    texts = {panel.get_title(side): side for side in ("left", "right")}
    title, note = (each for each in panel.findobj(Text) if each.get_text() in texts)
    one, other = title.get_window_extent(), note.get_window_extent()
    lines = title.get_text().count("\n") + 1
    assert lines == (1 if name == "loss" else 2)
    assert one.x1 < other.x0 or one.y1 - one.height / lines > other.y1 - 1


def test_one_epoch_has_one_tick() -> None:
    figure = plot_history(_history(1, loss=lambda _: 0.5))
    figure.draw_without_rendering()
    assert {tick for tick in figure.axes[0].get_xticks() if 0.9 < tick < 1.1} == {1}


@pytest.mark.parametrize("epochs", [1, 5, 40])
def test_there_is_no_epoch_0(epochs: int) -> None:
    (panel,) = _panels(_history(epochs, loss=float).plot()).values()
    first, last = panel.get_xlim()
    assert all(1 <= tick <= epochs for tick in panel.get_xticks() if first <= tick <= last)


def test_a_history_without_epochs_is_refused() -> None:
    with pytest.raises(ValueError, match="the history has no epochs"):
        bp.History().plot()
