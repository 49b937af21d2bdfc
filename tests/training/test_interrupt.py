"""Ctrl-C in the middle of fit: history, weights and trainer stay usable, and no step is done by half."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim
from bpcore.callbacks import Callback, EarlyStopping, LambdaCallback
from tests.training.problems import bits, blobs, child_environment, network


@pytest.fixture(autouse=True)
def _ctrl_c() -> Iterator[None]:
    """Python's own handling of Ctrl-C, which a shell's background jobs and their children ignore."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


class Stop(Callback):
    """Ends training after a number of steps, in an orderly way."""

    def __init__(self, steps: int) -> None:
        self.every_steps = steps

    def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        trainer.stop_training = True


class Ended(Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.epochs.append(trainer.epochs)


def _trainer(threads: int = 1) -> bp.Trainer:
    return bp.Trainer(
        network(64, 3), "cross_entropy", optim.Adam(1e-4), metrics=["accuracy"], threads=threads
    )


def interrupted(rows: int, threads: int) -> None:
    """The body of a child process: is sent SIGINT from outside, and checks what is left."""
    x, y = blobs(rows)
    trainer, ended = _trainer(threads), Ended()
    steps_per_epoch = -(-rows // 8)
    print("ready", flush=True)
    try:
        trainer.fit(x, y, epochs=10**9, batch_size=8, callbacks=[ended], progress=False)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("fit ended without KeyboardInterrupt")
    assert ended.epochs == [trainer.epochs]

    history = trainer.history
    assert len(history.epochs) == trainer.epochs
    assert all(
        len(history[name]) == len(history.epochs) and np.isfinite(history[name]).all() for name in history
    )
    assert trainer.epochs * steps_per_epoch <= trainer.steps <= (trainer.epochs + 1) * steps_per_epoch

    # The same number of steps without an interruption leaves the same bits.
    if trainer.steps:
        twin = _trainer(threads)
        twin.fit(x, y, epochs=10**9, batch_size=8, callbacks=[Stop(trainer.steps)], progress=False)
        assert twin.steps == trainer.steps
        assert bits(twin) == bits(trainer)
        for name in history:
            assert twin.history[name][: len(history.epochs)] == history[name]

    assert np.isfinite(trainer.predict(x[:10])).all()
    before = trainer.epochs
    assert trainer.fit(x, y, epochs=1, batch_size=8, progress=False).epochs == [before + 1]
    trainer.save("after.safetensors")
    assert bits(bp.Trainer.load("after.safetensors", network(64, 3))) == bits(trainer)
    print("fine", flush=True)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("rows", "threads"), [(80, 1), (400_000, 1), (400_000, 2)])
def test_sigint_in_the_middle_of_fit(rows: int, threads: int, tmp_path: Path) -> None:
    """With many short epochs, and in the middle of a long one."""
    code = f"from tests.training.test_interrupt import interrupted; interrupted({rows}, {threads})"
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        env=child_environment(),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=0.4)  # it is training
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    finally:
        child.kill()
    assert (child.returncode, out) == (0, "fine\n"), err


def test_an_interrupted_run_still_restores_the_best_weights() -> None:
    class Interrupted(EarlyStopping):
        """Takes the second epoch for the best, and is interrupted in the middle of the fourth."""

        every_steps = 40
        kept = b""

        def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            super().on_epoch_end(trainer, {"loss": [3.0, 1.0, 2.0][trainer.epochs - 1]})
            if trainer.epochs == 2:
                self.kept = bits(trainer)

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            raise KeyboardInterrupt

    trainer, stopping, ended = _trainer(), Interrupted("loss", patience=9), Ended()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(*blobs(), epochs=9, batch_size=8, callbacks=[stopping, ended], progress=False)
    assert (trainer.epochs, trainer.steps) == (3, 40)
    assert trainer.history.epochs == [1, 2, 3]
    assert ended.epochs == [3]
    assert bits(trainer) == stopping.kept


class Interrupts(Callback):
    """Sends the process Ctrl-C in the middle of its own work, a number of times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.finished = 0

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        for _ in range(self.times):
            signal.raise_signal(signal.SIGINT)
        self.finished += 1


def test_a_first_interrupt_lets_what_is_under_way_finish_and_a_second_does_not() -> None:
    x, y = blobs(40)
    for times, finished in [(1, 1), (2, 0)]:
        trainer, callback = _trainer(), Interrupts(times)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(x, y, epochs=3, batch_size=8, callbacks=[callback], progress=False)
        assert (callback.finished, trainer.epochs) == (finished, 1)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        trainer.fit(x, y, epochs=1, batch_size=8, progress=False)


def test_a_programs_own_handler_of_ctrl_c_stays_in_charge() -> None:
    x, y = blobs(40)
    seen: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    try:
        _trainer().fit(x, y, epochs=2, batch_size=8, callbacks=[Interrupts(1)], progress=False)
    finally:
        signal.signal(signal.SIGINT, previous)
    assert seen == [signal.SIGINT] * 2


def test_a_handler_that_a_callback_installs_stays() -> None:
    def own(*_: object) -> None:
        """Does nothing."""

    before = signal.getsignal(signal.SIGINT)
    install = LambdaCallback(on_train_begin=lambda *_: signal.signal(signal.SIGINT, own))
    try:
        bp.Trainer(network(3), "cross_entropy").fit(*blobs(), epochs=1, callbacks=[install], progress=False)
        assert signal.getsignal(signal.SIGINT) is own
    finally:
        signal.signal(signal.SIGINT, before)
