"""Run with count_allocations.c preloaded: prints, as JSON, how many allocations various native calls make."""

from __future__ import annotations

import ctypes
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

import bpcore as bp
from bpcore import nn, optim
from bpcore._native import core
from bpcore.callbacks import Callback
from tests.training.problems import network

BATCH, STEPS, CALLS = 32, 1001, 20_000
counter = ctypes.CDLL(sys.argv[1]).allocation_count
counter.restype = ctypes.c_long


def allocations(call: Callable[[], Any]) -> int:
    before = counter()
    call()
    return int(counter() - before)


class Stop(Callback):
    """Ends training after ten steps."""

    every_steps = 10

    def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        trainer.stop_training = True


def session_of(trainer: bp.Trainer, x: Any, y: np.ndarray) -> tuple[Any, Any]:
    """The native session of a `fit`, after the ten steps that warm it up, and its plan."""
    made: list[Any] = []
    original = core.Session

    def keep(plan: Any, *arguments: Any, **options: Any) -> Any:
        made.append((original(plan, *arguments, **options), plan))
        return made[-1][0]

    core.Session = keep  # type: ignore[misc, assignment]
    trainer.fit(x, y, epochs=1, batch_size=BATCH, callbacks=[Stop()], progress=False)
    core.Session = original  # type: ignore[misc]
    return made[0]


def measure(
    threads: int,
    dtype: str,
    x: Any,
    y: np.ndarray,
    loss: str,
    optimizer: Any,
    shuffle: bool,
    noisy: bool = False,
) -> dict[str, int]:
    """Allocations of a native call of 1 step and of one of 1001, the smaller last batch among them."""
    classes = loss == "cross_entropy"
    hidden = (24, 16) if threads == 1 else (384, 256)  # of a size for which two threads pay
    model = network(*hidden, 10 if classes else 1, activation="relu" if classes else "sigmoid")
    if noisy:
        model = nn.Sequential(nn.GaussianNoise(0.1), nn.Dropout(0.1), *model.layers)
    metrics = ["accuracy"] if classes else []
    trainer = bp.Trainer(model, loss, optimizer, metrics=metrics, dtype=dtype, threads=threads)
    session, plan = session_of(trainer, x, y)
    assert session.steps_per_epoch == STEPS + 1
    rates = np.full(STEPS, 1e-4)
    found = {"threads": plan.threads(threads)}
    session.begin_epoch(1, shuffle)
    for name, steps in (("one", 1), ("many", STEPS)):
        before = counter()
        done = session.run(steps, rates)
        found[name] = counter() - before
        assert done == steps
    return found


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(run: Callable[[], Any]) -> int:
    """How much resident memory grows by a second `run`."""
    run()
    before = resident_bytes()
    run()
    return resident_bytes() - before


def main() -> None:
    rng = np.random.default_rng(0)
    rows = BATCH * STEPS + 3
    floats = rng.normal(size=(rows, 16)).astype(np.float32)
    words = scipy.sparse.random(rows, 2000, 0.005, format="csr", random_state=0)
    bytes_ = rng.integers(0, 255, (rows, 16)).astype(np.uint8)
    classes, values = rng.integers(0, 10, rows), rng.normal(size=(rows, 1))
    result: dict[str, Any] = {}

    model = network(4, in_features=16)
    batch = floats[:8]
    model(batch)
    result["control: ten calls of a module"] = allocations(lambda: [model(batch) for _ in range(10)])
    result["control: a store"] = allocations(lambda: core.Store([("w", (8, 8))], [], "float32"))

    result["steps"] = {
        f"{threads} threads, {name}": measure(threads, *case)
        for threads in (1, 2)
        for name, case in {
            "float32, Adam": ("float32", floats, classes, "cross_entropy", optim.Adam(), True),
            "float32, in place": ("float32", floats, classes, "cross_entropy", optim.SGD(0.1, 0.9), False),
            "float32, noise": ("float32", floats, classes, "cross_entropy", optim.Adam(), True, True),
            "sparse, SGD": ("float32", words, classes, "cross_entropy", optim.SGD(0.1), True),
            "sparse, Adam": ("float32", words, classes, "cross_entropy", optim.Adam(), True),
            "float64 from bytes": ("float64", bytes_, values, "mse", optim.SGD(0.1), True),
        }.items()
    }

    x, y = rng.normal(size=(1000, 10)).astype(np.float32), rng.integers(0, 10, 1000)
    trainer = bp.Trainer(network(32, 10), "cross_entropy", threads=1)
    result["growth of fit"] = growth(lambda: trainer.fit(x, y, epochs=100, batch_size=1, progress=False))
    result["steps of fit"] = trainer.steps // 2

    def steps() -> None:
        for i in range(CALLS):
            trainer.step(x[i % 900 :][:4], y[i % 900 :][:4])

    def predictions() -> None:
        for i in range(CALLS):
            trainer.predict(x[i % 900 :][:4])

    result["growth of step"], result["growth of predict"] = growth(steps), growth(predictions)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
