"""Settings in a trainer's file: JSON that any program reads, and a ValueError where they make no sense."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import metrics, nn, optim
from bpcore.basics import files
from bpcore.callbacks import Callback, Checkpoint
from tests.training.problems import bits, network
from tests.training.refusal import X, Y


def _trainer() -> bp.Trainer:
    scores = ["accuracy", metrics.F1(average="macro")]
    regularizer = nn.L1L2(1e-3, 1e-3)
    return bp.Trainer(
        network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=scores, clip_norm=1, regularizer=regularizer
    )


def _fit(trainer: bp.Trainer, *callbacks: Callback, **options: Any) -> bp.History:
    return trainer.fit(X, Y, **{"epochs": 1, "callbacks": callbacks, "progress": False, **options})


def _settings(path: Path) -> dict[str, Any]:
    """Read as the standard has it."""

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is no JSON")

    found: dict[str, Any] = json.loads(files.read(path)[1]["trainer"], parse_constant=refuse)
    return found


def _edit(path: Path, place: str, value: Any) -> None:
    settings = _settings(path)
    *outer, last = place.split(".")
    inner: Any = settings
    for key in outer:
        inner = inner[int(key) if isinstance(inner, list) else key]
    inner[int(last) if isinstance(inner, list) else last] = value
    files.write(path, files.read(path)[0], {"trainer": json.dumps(settings)})


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("control.extra", 1, "its settings are damaged: control: "),
        ("control.clip_norm", "x", "its settings are damaged: control: Trainer: clip_norm must be a number"),
        ("control.clip_value", 2.0, "its settings are damaged: control: Trainer: give only one of"),
        ("regularizer", {}, "its settings are damaged: regularizer: 'l2'"),
        ("regularizer.l1", "x", "its settings are damaged: regularizer: L1L2: l1 must be a number"),
        ("regularizer.extra", 1, "its settings are damaged: regularizer: "),
        ("metrics", [1], "its settings are damaged: loss, loss_weights or metrics: a metric is"),
        ("metrics.1.zero_division", 10**400, "its settings are damaged: metrics: "),
        ("loss", {"a": 1}, "its settings are damaged: loss, loss_weights or metrics: "),
        ("skipped", -1, "its settings are damaged: skipped"),
        ("steps", 10**30, "its settings are damaged: steps"),
        ("history.before", None, "its history is damaged: "),
        ("history.rows.0.0", 10**400, "its history is damaged: "),
    ],
)
def test_settings_that_make_no_sense_are_named_and_change_nothing(
    place: str, value: Any, message: str, tmp_path: Path
) -> None:
    trainer, path = _trainer(), tmp_path / "run"
    _fit(trainer)
    trainer.save(path)
    _edit(path, place, value)
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match=f"run: {message}"):
        bp.Trainer.load(path, model)
    assert bits(model) == before


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ("run.names", [1], "the state of its run is damaged"),
        ("run.seconds", 10**400, "the state of its run is damaged"),
        ("history.before", "x", "its history is damaged"),
        ("skipped", -1, "its settings are damaged: skipped"),
    ],
)
def test_a_run_that_makes_no_sense_is_named(place: str, value: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    _fit(_trainer(), Checkpoint(path))
    _edit(path, place, value)
    with pytest.raises(ValueError, match=f"run: {message}"):
        _fit(_trainer(), epochs=2, resume=path)


class _Extremes(Callback):
    """A callback whose state has numbers that aren't finite."""

    given: Mapping[str, Any] | None = None

    def state(self) -> dict[str, Any]:
        return {"a": math.inf, "b": [-math.inf, {"c": math.nan}, np.float32("inf")], "d": 0.1}

    def restore_state(self, state: Mapping[str, Any]) -> None:
        self.given = state


def _nothing(prediction: Any, target: Any) -> Any:  # noqa: ARG001 - the protocol
    return 0.0 * prediction[:, 0] + math.nan


def test_numbers_that_are_not_finite_come_back_from_files_that_any_program_reads(tmp_path: Path) -> None:
    def made() -> bp.Trainer:
        return bp.Trainer(
            network(8, 3), "cross_entropy", metrics=[_nothing, metrics.F1(zero_division=math.nan)]
        )

    path, found = tmp_path / "run", _Extremes()
    best = Checkpoint(tmp_path / "best", monitor="loss", every_epochs=9)
    _fit(made(), _Extremes(), best, Checkpoint(path))
    assert _settings(path)["run"]["callbacks"][1][:2] == ["Checkpoint", {"best": {"__number__": "inf"}}]
    history = _fit(made(), found, resume=path, epochs=2)
    assert np.isnan(history["_nothing"]).all()
    assert all(type(value) is float for value in history["_nothing"])
    assert found.given is not None
    assert found.given["a"] == math.inf
    assert found.given["d"] == 0.1
    assert str(found.given["b"]) == "[-inf, {'c': nan}, inf]"


def test_what_stands_for_such_a_number_is_no_state_of_a_callback(tmp_path: Path) -> None:
    class Kept(Callback):
        def state(self) -> dict[str, Any]:
            return {"a": {"__number__": "1"}}

    with pytest.raises(TypeError, match="'__number__' is taken"):
        _fit(_trainer(), Kept(), Checkpoint(tmp_path / "run"))
