"""Memory maps: read a batch at a time, never copied as a whole, and looked at before each step."""

from __future__ import annotations

import functools
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, optim
from bpcore.intake.mapped import is_mapped
from tests.support.sanitizers import sanitized
from tests.training.problems import bits, blobs, child_environment, network

X, Y = blobs(96)
DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "int64", "uint64", "float32", "float64"]


def mapped(folder: Path, array: Any, name: str = "x") -> Any:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def trainer(seed: int = 0) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], seed=seed)


def test_what_is_a_memory_map(tmp_path: Path) -> None:
    x = mapped(tmp_path, X)
    assert all(is_mapped(each) for each in (x, x[3:], x[:, 1], np.asarray(x), x.reshape(-1)[5:]))
    assert not any(is_mapped(each) for each in (X, X[1:], x + 1, x[[1, 2]], np.array(x), [1], None))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("kind", DTYPES)
def test_the_same_bits_as_arrays_in_memory(tmp_path: Path, kind: str, shuffle: bool) -> None:
    x = np.abs(X * 3).astype(kind)
    found = set()
    for given, labels in ((x, Y), (mapped(tmp_path, x), mapped(tmp_path, Y, "y"))):
        learner = trainer()
        learner.fit(
            given, labels, epochs=2, batch_size=16, shuffle=shuffle, validation_split=0.2, progress=False
        )
        values = learner.evaluate(given, labels, batch_size=7)
        found.add((bits(learner), learner.history["val_loss"][-1], values["loss"]))
        found.add((bits(learner), learner.predict(given, batch_size=10).tobytes()))
    assert len(found) == 2


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stops_before_its_step(tmp_path: Path, value: float) -> None:
    x = X.copy()
    x[70, 2] = value
    x = mapped(tmp_path, x)
    learner, same = trainer(), trainer()
    message = rf"x\[70, 2\] is {value}; clean the data"
    with pytest.raises(ValueError, match=f"^fit: {message}"):
        learner.fit(x, Y, epochs=1, batch_size=16, shuffle=False, progress=False)
    same.fit(X[:64], Y[:64], epochs=1, batch_size=16, shuffle=False, progress=False)
    assert (learner.steps, learner.epochs) == (4, 0)
    assert bits(learner) == bits(same)
    learner.fit(X, Y, epochs=1, progress=False)

    with pytest.raises(ValueError, match=f"^evaluate: {message}"):
        learner.evaluate(x, Y)
    with pytest.raises(ValueError, match=r"^predict: rows from 64 on: x\[6, 2\] is"):
        learner.predict(x, batch_size=32)
    for method in (learner.step, learner.gradients):
        with pytest.raises(ValueError, match=message):
            method(x, Y)
    with pytest.raises(ValueError, match="fit: validation: x"):
        learner.fit(X, Y, epochs=1, validation_data=(x, Y), progress=False)
    np.testing.assert_array_equal(
        learner.predict(x, batch_size=32, check_finite=False),
        learner.predict(np.array(x), check_finite=False),
    )


def test_labels_are_looked_at_when_fit_begins(tmp_path: Path) -> None:
    y = Y.copy()
    y[90] = 3
    learner = trainer()
    with pytest.raises(ValueError, match=r"fit: y\[90\] is 3, but"):
        learner.fit(X, mapped(tmp_path, y), epochs=1, progress=False)
    assert learner.steps == 0


def test_targets_are_looked_at_in_parts(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("bpcore.intake.mapped._AT_ONCE", 10)
    y = Y.copy()
    y[5] = y[90] = -1
    ignoring = functools.partial(losses.cross_entropy, ignore_index=-1)
    learner = bp.Trainer(network(8, 3), ignoring)
    learner.fit(X, mapped(tmp_path, y), epochs=1, progress=False)
    y[70] = 7
    with pytest.raises(ValueError, match=r"fit: y\[70\] is 7, but cross_entropy takes -1, which it ignores"):
        learner.fit(X, mapped(tmp_path, y), epochs=1, progress=False)
    learner = trainer()
    rows = np.eye(3)[Y]
    learner.fit(X, mapped(tmp_path, rows), epochs=1, progress=False)
    rows[8] = 0.5
    with pytest.raises(ValueError, match=r"fit: rows from 6 on: float targets .* y\[2\] is"):
        learner.fit(X, mapped(tmp_path, rows), epochs=1, progress=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (np.asfortranarray, "its rows don't lie one after the other"),
        (lambda x: x.astype(">f4"), "its elements, >f4, are unaligned or in another byte order"),
        (lambda x: x.astype(np.float16), "it is float16"),
    ],
)
def test_layouts_that_would_be_copied_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    x = mapped(tmp_path, change(X))
    with pytest.raises(ValueError, match=f"fit: x is a memory map that .*: {message}"):
        trainer().fit(x, Y, epochs=1, progress=False)
    trainer().fit(np.array(x), Y, epochs=1, progress=False)


def test_rows_that_are_skipped_are_refused_and_a_part_is_not(tmp_path: Path) -> None:
    x = mapped(tmp_path, X)
    with pytest.raises(ValueError, match="its rows don't lie one after the other"):
        trainer().fit(x[::2], Y[::2], epochs=1, progress=False)
    trainer().fit(x[10:50], Y[10:50], epochs=1, progress=False)


def grows(megabytes: int, folder: str) -> None:
    """The body of a child process: trains on data of this size and looks at its own memory.

    The data are floats in a memory map, or, without a folder, bytes in memory.
    """
    columns = 256
    rows = megabytes * 2**20 // (columns * (4 if folder else 1))
    if folder:
        x: Any = np.memmap(f"{folder}/x", np.float32, "w+", shape=(rows, columns))
        y: Any = np.memmap(f"{folder}/y", np.uint8, "w+", shape=(rows,))
    else:
        x, y = np.ones((rows, columns), np.uint8), np.zeros(rows, np.uint8)
    x[:: rows // 64] = 1
    y[: rows // 2] = 1
    model = nn.Sequential(nn.Dense(4, in_features=columns))
    learner = bp.Trainer(model, "cross_entropy", optim.SGD(0.01), metrics=["accuracy"])
    learner.fit(x[:1024], y[:1024], epochs=1, batch_size=512, progress=False)
    before, peak, over = anonymous(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.002):
            peak = max(peak, anonymous())

    thread = threading.Thread(target=watch)
    thread.start()
    learner.fit(x, y, epochs=1, batch_size=512, validation_split=0.1, progress=False)
    learner.evaluate(x, y)
    output = learner.predict(x)
    over.set()
    thread.join()
    print((peak - before - 2 * output.nbytes) >> 10, flush=True)  # predict puts its batches together


def anonymous() -> int:
    """Bytes of this process that are no file's, after Linux's proc(5)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) << 10
    raise AssertionError


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells")
@pytest.mark.skipif(sanitized(), reason="the sanitizer keeps memory that was freed")
@pytest.mark.parametrize("kind", ["a memory map", "bytes in memory"])
def test_data_are_never_copied_as_a_whole(tmp_path: Path, kind: str) -> None:
    folder = str(tmp_path) if kind == "a memory map" else ""
    code = f"from tests.training.test_memory_maps import grows; grows(64, {folder!r})"
    result = subprocess.run(
        [sys.executable, "-c", code], env=child_environment(), capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 16 << 10  # kibibytes, of 64 MiB
