"""Schedules and an optimizer's scale in files, and as copies."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, schedules
from bpcore.basics import files
from tests.training.problems import bits, blobs, network
from tests.training.schedule_cases import DESCRIBED, EVERY, fit, halving

NAN = float("nan")


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_description_in_json_makes_the_same_schedule(name: str) -> None:
    schedule = DESCRIBED[name]
    again = schedules.from_config(json.loads(json.dumps(schedule.config())))
    assert again == schedule
    assert repr(again) == repr(schedule)
    assert again.values(0, 400).tobytes() == schedule.values(0, 400).tobytes()


def test_every_schedule_is_described() -> None:
    public = {name for name in schedules.__all__ if isinstance(getattr(schedules, name), type)}
    assert {type(each).__name__ for each in DESCRIBED.values()} == public - {"Schedule", "Lambda"}


@pytest.mark.parametrize("name", EVERY)
def test_copies_and_pickles(name: str) -> None:
    for again in (copy.deepcopy(EVERY[name]), pickle.loads(pickle.dumps(EVERY[name]))):
        assert again == EVERY[name]
        assert again.values(0, 100).tobytes() == EVERY[name].values(0, 100).tobytes()


@pytest.mark.parametrize("name", DESCRIBED)
def test_a_loaded_trainer_goes_on_with_its_schedule(name: str, tmp_path: Path) -> None:
    """Nothing is given again; the schedule goes on where it was, and so does the scale."""
    x, y = blobs(60)
    whole = fit(DESCRIBED[name], epochs=2)
    whole.optimizer.scale = 0.3
    whole.save(tmp_path / "run")
    whole.fit(x, y, epochs=3, batch_size=4, progress=False)
    loaded = bp.Trainer.load(tmp_path / "run", network(8, 3))
    assert loaded.optimizer.lr == DESCRIBED[name]
    assert loaded.optimizer.scale == 0.3
    loaded.fit(x, y, epochs=3, batch_size=4, progress=False)
    assert bits(loaded) == bits(whole)


@pytest.mark.parametrize(
    "lr",
    [
        halving,
        EVERY["lambda"],
        EVERY["nested"],
        schedules.Warmup(lambda step: 0.1 / (1 + step), 3),
        type("Own", (schedules.Schedule,), {"values": lambda self, first, count: np.full(count, 0.1)})(),  # noqa: ARG005
    ],
)
def test_what_has_a_function_must_be_given_again_and_gets_its_scale_back(lr: Any, tmp_path: Path) -> None:
    x, y = blobs(60)
    whole = fit(lr, epochs=1)
    whole.optimizer.scale = 0.125
    whole.save(tmp_path / "run")
    whole.fit(x, y, epochs=1, batch_size=4, progress=False)
    with pytest.raises(ValueError, match="functions are not saved; give optimizer= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "run", network(8, 3))
    loaded = bp.Trainer.load(tmp_path / "run", network(8, 3), optimizer=optim.SGD(lr, momentum=0.9))
    loaded.fit(x, y, epochs=1, batch_size=4, progress=False)
    assert bits(loaded) == bits(whole)


def test_an_optimizer_that_is_given_though_it_need_not_be_has_its_own_rate(tmp_path: Path) -> None:
    whole = fit(schedules.Constant(0.1), epochs=1)
    whole.optimizer.scale = 0.125
    whole.save(tmp_path / "run")
    loaded = bp.Trainer.load(tmp_path / "run", network(8, 3), optimizer=optim.SGD(0.5, momentum=0.9))
    assert loaded.optimizer.rates(0, 1) == 0.5


@pytest.mark.parametrize(
    ("change", "fragment"),
    [
        ({"scale": -1.0}, "settings are damaged: optimizer"),
        ({"scale": "x"}, "settings are damaged: optimizer"),
        ({"scale": NAN}, "settings are damaged: optimizer"),
        ({"lr": {"name": "cosin", "lr": 0.1, "steps": 3}}, "unknown schedule 'cosin'"),
        ({"lr": {"name": 3}}, "unknown schedule '3'"),
        ({"lr": {}}, "settings are damaged: optimizer: 'name'"),
        ({"lr": {"name": "cosine", "lr": 0.1}}, "settings are damaged: optimizer: .*steps"),
        ({"lr": {"name": "cosine", "lr": 0.1, "steps": 0}}, "Cosine: steps must be at least 1"),
        ({"lr": {"name": "product", "schedules": [{}]}}, "settings are damaged: optimizer: 'name'"),
        ({"lr": [0.1]}, "settings are damaged: optimizer: .*lr must be a number"),
    ],
)
def test_a_damaged_description_changes_nothing(change: dict[str, Any], fragment: str, tmp_path: Path) -> None:
    fit(schedules.Cosine(0.1, 3), epochs=1).save(tmp_path / "run")
    tensors, metadata = files.read(tmp_path / "run")
    settings = json.loads(metadata["trainer"])
    settings["optimizer"].update(change)
    files.write(tmp_path / "run", tensors, {"trainer": json.dumps(settings)})
    model = network(8, 3, in_features=4)
    before = bits(model)
    with pytest.raises(ValueError, match=fragment):
        bp.Trainer.load(tmp_path / "run", model)
    assert bits(model) == before
