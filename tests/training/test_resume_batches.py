"""Runs on batches, and with augmentation, that are killed and resumed have the bits of one that was not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from bpcore.callbacks import Checkpoint
from tests.training.problems import bits, blobs
from tests.training.test_resume import Stop, StopAt, everything

X, Y = blobs(96)
PARTS = [(X[i : i + 8], Y[i : i + 8]) for i in range(0, 96, 8)]


def by_epoch(epoch: int) -> Iterator[Any]:
    """Batches in an order that depends on the epoch."""
    return (PARTS[i] for i in np.random.default_rng(epoch).permutation(len(PARTS)))


def noise(x: Any, rng: np.random.Generator) -> Any:
    return x + rng.normal(size=x.shape).astype(x.dtype)


# name: (what makes the arguments of fit, steps of an epoch)
RUNS: dict[str, tuple[Callable[[], dict[str, Any]], int]] = {
    "a list": (lambda: {"x": PARTS}, 12),
    "a function of the epoch": (lambda: {"x": by_epoch}, 12),
    "accumulated": (lambda: {"x": by_epoch, "accumulate": 5}, 3),
    "an endless iterator": (lambda: {"x": itertools.cycle(PARTS), "steps_per_epoch": 5}, 5),
    "an endless function": (lambda: {"x": lambda: itertools.cycle(PARTS), "steps_per_epoch": 5}, 5),
    "shares by epoch": (lambda: {"x": by_epoch, "steps_per_epoch": 5}, 5),
    "a list in shares": (lambda: {"x": PARTS, "steps_per_epoch": 5, "accumulate": 2}, 5),
    "validation": (lambda: {"x": PARTS, "validation_data": lambda: iter(PARTS[:3])}, 12),
    "augmentation": (lambda: {"x": X, "y": Y, "batch_size": 10, "augment": noise}, 10),
}


def trainer() -> bp.Trainer:
    model = nn.Sequential(nn.Dense(8, "relu"), nn.BatchNorm(), nn.Dropout(0.4), nn.Dense(3))
    return bp.Trainer(model, "cross_entropy", optim.Adam(0.02), metrics=["accuracy"])


class Skipping:
    """Batches that it takes long to make, and a way around them."""

    def __init__(self) -> None:
        self.made: list[int] = []
        self.skipped: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        return self._from(0)

    def _from(self, first: int) -> Iterator[Any]:
        for i in range(first, len(PARTS)):
            self.made.append(i)
            yield PARTS[i]

    def skip(self, batches: int) -> Iterator[Any]:
        self.skipped.append(batches)
        return self._from(batches)


@pytest.mark.parametrize(("accumulate", "step"), [(1, 1), (1, 7), (5, 2), (1, 12), (1, 19)])
def test_a_source_that_can_skip_batches_does_not_make_them(
    tmp_path: Path, accumulate: int, step: int
) -> None:
    path = tmp_path / "run.safetensors"
    whole = trainer()
    options: dict[str, Any] = {"epochs": 2, "accumulate": accumulate, "progress": False}
    whole.fit(Skipping(), **options)
    killed, source = Skipping(), Skipping()
    with pytest.raises(Stop):
        trainer().fit(killed, callbacks=[Checkpoint(path), StopAt(step)], **options)
    assert killed.skipped == []
    resumed = trainer()
    resumed.fit(source, resume=path, **options)
    assert everything(resumed) == everything(whole)
    epoch, position = divmod(step - 1, -(-len(PARTS) // accumulate))
    behind = (position + 1) * accumulate
    assert source.skipped == [behind]
    first = range(accumulate)  # those of a step are taken to know their shapes
    assert source.made == [*first, *range(behind, len(PARTS)), *(range(len(PARTS)) if epoch == 0 else [])]


def test_an_attribute_that_is_no_method_is_not_asked_to_skip(tmp_path: Path) -> None:
    class Loader:
        skip = True

        def __iter__(self) -> Iterator[Any]:
            return iter(PARTS)

    path = tmp_path / "run.safetensors"
    whole, resumed = trainer(), trainer()
    whole.fit(Loader(), epochs=1, progress=False)
    with pytest.raises(Stop):
        trainer().fit(Loader(), epochs=1, callbacks=[Checkpoint(path), StopAt(5)], progress=False)
    resumed.fit(Loader(), epochs=1, resume=path, progress=False)
    assert everything(resumed) == everything(whole)


@pytest.mark.parametrize("name", ["an endless iterator", "shares by epoch", "a list in shares"])
def test_a_stream_that_epochs_share_goes_on_wherever_it_stopped(tmp_path: Path, name: str) -> None:
    make, steps = RUNS[name]
    path = tmp_path / "run.safetensors"
    whole = trainer()
    whole.fit(**make(), epochs=4, progress=False)
    for step in range(1, 4 * steps):
        with pytest.raises(Stop):  # the file is of that very step, also of the last one of an epoch
            trainer().fit(**make(), epochs=4, callbacks=[Checkpoint(path), StopAt(step)], progress=False)
        resumed = trainer()
        resumed.fit(**make(), epochs=4, resume=path, progress=False)
        assert everything(resumed) == everything(whole), step


@pytest.mark.parametrize("where", ["in an epoch", "behind an epoch", "later"])
@pytest.mark.parametrize("name", RUNS)
def test_a_resumed_run_has_the_same_bits(tmp_path: Path, name: str, where: str) -> None:
    make, steps = RUNS[name]
    path = tmp_path / "run.safetensors"
    whole = trainer()
    whole.fit(**make(), epochs=3, progress=False)
    assert whole.steps == 3 * steps
    at = {"in an epoch": 2, "behind an epoch": steps, "later": 2 * steps + 1}[where]
    saves = (
        Checkpoint(path, every_epochs=1) if where == "behind an epoch" else Checkpoint(path, every_steps=at)
    )
    killed = trainer()
    with pytest.raises(Stop):
        killed.fit(**make(), epochs=3, callbacks=[saves, StopAt(at + 1)], progress=False)
    resumed = trainer()
    resumed.fit(**make(), epochs=3, resume=path, progress=False)
    assert bits(resumed) == bits(whole)
    assert everything(resumed) == everything(whole)
