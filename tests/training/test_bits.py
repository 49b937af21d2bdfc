"""The same seed gives the same bits: on one thread or two, in this process or another."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim, runtime
from bpcore._native import core
from tests.training.problems import bits, child_environment, network

ROWS, FEATURES, CLASSES, BATCH = 1000, 96, 10, 128


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    return rng.normal(size=(ROWS, FEATURES)).astype(np.float32), rng.integers(0, CLASSES, ROWS)


def _trained(
    threads: int | None = 1, seed: int = 0, dtype: str = "float32", optimizer: Any = None
) -> bp.Trainer:
    """Three epochs of a network large enough for two threads, with a smaller last batch and validation."""
    x, y = _data()
    model = network(200, 120, CLASSES, activation="relu")
    trainer = bp.Trainer(
        model, "cross_entropy", optimizer or optim.Adam(2e-3), metrics=["accuracy"], seed=seed, dtype=dtype,
        threads=threads,
    )  # fmt: skip
    trainer.fit(x, y, epochs=3, batch_size=BATCH, validation_split=0.1, progress=False)
    return trainer


def _values(trainer: bp.Trainer) -> dict[str, list[float]]:
    return {name: trainer.history[name] for name in trainer.history}


def _digest(trainer: bp.Trainer) -> str:
    return hashlib.sha256(bits(trainer) + repr(_values(trainer)).encode()).hexdigest()


needs_openmp = pytest.mark.skipif(not core.openmp(), reason="built without threads")


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plans of the sessions made during a test."""
    seen: list[Any] = []
    session = core.Session

    def noting(plan: Any, tail: Any, *arguments: Any, **options: Any) -> Any:
        seen.extend(each for each in (plan, tail) if each is not None)
        return session(plan, tail, *arguments, **options)

    monkeypatch.setattr(core, "Session", noting)
    return seen


@needs_openmp
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "optimizer", [optim.SGD(0.05, 0.9, nesterov=True, weight_decay=1e-3), optim.Adam(2e-3)]
)
def test_one_and_more_threads_give_the_same_bits(dtype: str, optimizer: Any, plans: list[Any]) -> None:
    one = _trained(1, dtype=dtype, optimizer=optimizer)
    assert max(plan.threads(2) for plan in plans) == 2, (
        "the network is too small for this test: nothing uses a thread"
    )
    for threads in (2, 3, 8):
        more = _trained(threads, dtype=dtype, optimizer=optimizer)
        assert bits(more) == bits(one), threads
        assert _values(more) == _values(one), threads
        state = {name: value.tobytes() for name, value in more.optimizer_state.items()}
        assert state == {name: value.tobytes() for name, value in one.optimizer_state.items()}, threads
        x, y = _data()
        assert more.predict(x).tobytes() == one.predict(x).tobytes()
        assert more.evaluate(x, y) == one.evaluate(x, y)


@needs_openmp
def test_the_number_of_threads_may_change_between_runs() -> None:
    x, y = _data()
    trained = []
    try:
        for threads in ((1, 1), (2, 1), (1, 2)):
            trainer = bp.Trainer(network(200, 120, CLASSES, activation="relu"), "cross_entropy")
            for count in threads:
                runtime.set_threads(count)
                trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
            trained.append(bits(trainer))
    finally:
        runtime.set_threads(core.max_threads())
    assert trained[0] == trained[1] == trained[2]


def test_two_runs_give_the_same_bits_and_another_seed_does_not() -> None:
    first, second, other = _trained(), _trained(), _trained(seed=1)
    assert bits(first) == bits(second)
    assert _values(first) == _values(second)
    assert bits(first) != bits(other)
    assert first.history["loss"] != other.history["loss"]


def test_the_seed_keys_initial_values_and_order_apart() -> None:
    """From one built model, another seed still shuffles in another way, and changes nothing else."""
    x, y = _data()
    trained = {}
    for shuffle in (False, True):
        for seed in (0, 1):
            model = network(20, CLASSES)
            model.build(FEATURES)
            trainer = bp.Trainer(model, "cross_entropy", seed=seed)
            trainer.fit(x, y, epochs=1, batch_size=BATCH, shuffle=shuffle, progress=False)
            trained[shuffle, seed] = bits(trainer)
    assert trained[False, 0] == trained[False, 1]
    assert trained[True, 0] != trained[True, 1]


@pytest.mark.parametrize(
    ("threads", "settings"),
    [
        (1, {}),
        pytest.param(2, {}, marks=needs_openmp),
        pytest.param(2, {"OMP_THREAD_LIMIT": "1"}, marks=needs_openmp),
    ],
)
def test_another_process_gives_the_same_bits(threads: int, settings: dict[str, str]) -> None:
    """Whatever Python's hash seed is, and also where OpenMP gives fewer threads than it is asked for."""
    code = f"from tests.training.test_bits import _digest, _trained; print(_digest(_trained({threads})))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=child_environment(PYTHONHASHSEED="12345", **settings),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert result.stdout.strip() == _digest(_trained(1))
