"""Module.summary and the text that stands for a module."""

from __future__ import annotations

import pytest

from bpcore import nn
from tests.nn.models import Plain, sequential


def test_summary_shows_layers_shapes_and_numbers() -> None:
    model = nn.Sequential(nn.Dense(256, "relu"), nn.ReLU(), nn.Dense(10))
    model.build(784)
    text = model.summary(show=False)
    assert text is not None
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "(Dense)", "(None,", "256)", "200,960"] in rows
    assert ["1", "(ReLU)", "(None,", "256)", "0"] in rows
    assert ["2", "(Dense)", "(None,", "10)", "2,570"] in rows
    assert "203,530 parameters" in text
    assert "795.0 KiB in float32" in text


def test_summary_prints_unless_told_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    model = sequential()
    assert model.summary() is None
    assert capsys.readouterr().out.strip() == (model.summary(show=False) or "").strip()
    assert capsys.readouterr().out == ""


def test_summary_before_sizes_are_known_says_so() -> None:
    text = sequential().summary(show=False) or ""
    assert "? parameters" in text
    assert "frozen" not in text


def test_summary_counts_frozen_parameters_and_states() -> None:
    model = Plain()
    model.first.weight.trainable = False
    text = model.summary(show=False) or ""
    assert "41 parameters, 6 of them frozen, 2 values of state" in text


def test_repr_shows_the_structure() -> None:
    assert repr(sequential()) == "Sequential(Dense(5, in_features=None), Dense(3, in_features=None))"
    assert repr(Plain()).startswith("Plain(first=Dense(3, in_features=2), blocks.0=")
