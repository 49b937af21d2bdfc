"""Several threads, forked processes, and several owners of one model."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from bpcore.basics.turns import Turns
from bpcore.callbacks import Callback
from tests.training.problems import bits, blobs, child_environment, forward, network


class Signal(Callback):
    """Says when training is under way."""

    def __init__(self) -> None:
        self.started = threading.Event()

    def on_epoch_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.started.set()


def _trainer(threads: int | None = None) -> bp.Trainer:
    return bp.Trainer(network(32, 3), "cross_entropy", metrics=["accuracy"], threads=threads)


def test_a_second_fit_or_step_at_the_same_time_raises_and_the_first_goes_on() -> None:
    x, y = blobs()
    trainer, signal = _trainer(), Signal()
    first = threading.Thread(
        target=trainer.fit, args=(x, y), kwargs={"epochs": 10**9, "callbacks": [signal], "progress": False}
    )
    first.start()
    try:
        assert signal.started.wait(60)
        for method in (lambda: trainer.fit(x, y, epochs=1, progress=False), lambda: trainer.step(x, y)):
            with pytest.raises(RuntimeError, match="in the middle of a fit"):
                method()
        assert first.is_alive()
        assert trainer.predict(x).shape == (96, 3), "predict needs no turn of its own"
    finally:
        trainer.stop_training = True
        first.join(60)
    assert not first.is_alive()
    assert len(trainer.history.epochs) == trainer.epochs >= 1
    assert len(trainer.fit(x, y, epochs=1, progress=False).epochs) == 1


@pytest.mark.parametrize("data", ["arrays", "batches", "steps"])
def test_what_another_thread_saves_or_copies_is_of_one_step(data: str, tmp_path: Path) -> None:
    """Equal columns keep weights equal, and momentum with them, but in the middle of a step."""
    x, y = np.ones((4, 1 << 17), np.float32), np.full((4, 1), 3, np.float32)

    def made() -> bp.Trainer:
        model = nn.Sequential(nn.Dense(1, in_features=x.shape[1], kernel_init="zeros"))
        return bp.Trainer(model, "mse", optim.SGD(1e-7, momentum=0.9), threads=1)

    trainer, done = made(), threading.Event()

    def train() -> None:
        while not done.is_set():
            if data == "steps":
                trainer.step(x, y)
            elif data == "arrays":
                trainer.fit(x, y, epochs=50, batch_size=1, progress=False)
            else:
                trainer.fit(lambda: iter([(x, y)] * 4), epochs=20, progress=False)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for number in range(20):
            trainer.save(tmp_path / "trainer.safetensors")
            trainer.model.save_weights(tmp_path / "weights.safetensors")
            loaded, parts = bp.Trainer.load(tmp_path / "trainer.safetensors", made().model), made().model
            parts.load_weights(tmp_path / "weights.safetensors")
            copied = trainer.snapshot()[0][: x.shape[1]]
            arrays = [loaded.parameters["0.weight"], parts.parameters["0.weight"], copied]
            arrays.append(loaded.optimizer_state["optimizer.momentum_buffer.0.weight"])
            arrays.append(trainer.model.copy().parameters["0.weight"])
            parts.assign(trainer.model)
            trainer.model.load_weights(tmp_path / "weights.safetensors")
            assert all((each == each.flat[0]).all() for each in arrays), number
            assert thread.is_alive()
    finally:
        done.set()
        thread.join(60)


def test_threads_take_turns_in_the_order_of_coming() -> None:
    turns, waits, got = Turns(), threading.Event(), threading.Event()

    def other() -> None:
        waits.set()
        with turns:
            got.set()

    thread = threading.Thread(target=other)
    with turns, turns:  # again by who is inside
        thread.start()
        assert waits.wait(60)
        time.sleep(0.05)
        assert not got.is_set()
    with turns:
        assert got.is_set(), "who comes back at once waits behind who waited"
    thread.join(60)


def _printed_by_a_child(code: str, wait_policy: str | None = None) -> str:
    """What `code` prints in a process of its own, where OpenMP's wait policy is this one or not set."""
    unset = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in child_environment().items() if name not in unset}
    if wait_policy is not None:
        environment["OMP_WAIT_POLICY"] = wait_policy
    command = [sys.executable, "-c", code]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    return child.stdout.strip()


def test_threads_that_wait_for_the_next_call_leave_the_cpus_alone() -> None:
    """OpenMP's default is to spin for milliseconds, which takes a CPU from whoever else trains here."""
    code = """if True:
        import time
        import numpy as np, bpcore as bp
        from bpcore import nn
        model = nn.Sequential(nn.Dense(256, "relu", in_features=256), nn.Dense(10))
        trainer = bp.Trainer(model, "cross_entropy", threads=2)
        x, y = np.ones((256, 256), np.float32), np.arange(256) % 10
        used = 0.0
        for _ in range(40):
            trainer.step(x, y)
            begin = time.process_time()
            time.sleep(0.005)
            used += time.process_time() - begin
        print(used)
        """
    assert float(_printed_by_a_child(code)) < 0.05, "seconds of CPU in 0.2 seconds of sleep"


@pytest.mark.parametrize("own", [None, "active"])
def test_importing_leaves_the_environment_as_it_was(own: str | None) -> None:
    code = "import os, bpcore; print(os.environ.get('OMP_WAIT_POLICY'))"
    assert _printed_by_a_child(code, wait_policy=own) == str(own)


def test_many_threads_may_predict_and_evaluate_at_once() -> None:
    trainer = _trainer()
    parts = [blobs(n, seed=n) for n in (8, 40, 300)]
    trainer.fit(*parts[0], epochs=1, progress=False)
    expected = [
        (trainer.predict(x).tobytes(), trainer.evaluate(x, y), trainer.gradients(x, y)) for x, y in parts
    ]

    def work(i: int) -> bool:
        x, y = parts[i % len(parts)]
        prediction, values, gradients = expected[i % len(parts)]
        found = trainer.gradients(x, y)
        return (
            trainer.predict(x).tobytes() == prediction
            and trainer.model(x).tobytes() == prediction
            and trainer.evaluate(x, y) == values
            and all(found[name].tobytes() == value.tobytes() for name, value in gradients.items())
        )

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(200)))


@pytest.mark.parametrize(("hidden", "threads"), [(32, 1), (400, 2)], ids=["small", "two threads each"])
def test_trainers_in_several_threads_do_not_disturb_each_other(hidden: int, threads: int) -> None:
    x, y = blobs(400, features=64)

    def trained(seed: int) -> bytes:
        trainer = bp.Trainer(network(hidden, 3), "cross_entropy", seed=seed, threads=threads)
        trainer.fit(x, y, epochs=2, batch_size=100, progress=False)
        return bits(trainer)

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(trained, range(8)))
    assert together == [trained(seed) for seed in range(8)]
    assert len(set(together)) == 8


FORK = """
import os, signal
import numpy as np
import bpcore as bp
from tests.training.test_bits import _trained, BATCH, _data
from tests.training.problems import bits

x, y = _data()
trainer = _trained(threads=2)      # the parent has used its two threads
expected = trainer.predict(x).tobytes(), bits(_trained(threads=2))
child = os.fork()
if child == 0:
    signal.alarm(60)               # a hang is a failure, not a wait
    found = trainer.predict(x).tobytes(), bits(_trained(threads=2))
    trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
    os._exit(0 if found == expected else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 0, f"the child ended with {status}"
assert trainer.predict(x).tobytes() == expected[0], "the child's fit must not reach the parent"
assert bits(_trained(threads=2)) == expected[1]
print("fine")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_predicts_and_trains_the_same_bits() -> None:
    result = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (result.returncode, result.stdout) == (0, "fine\n"), result.stderr


def test_a_trainer_whose_model_became_part_of_a_larger_one_raises() -> None:
    x, y = blobs()
    part = network(8, 3, in_features=4)
    old = bp.Trainer(part, "cross_entropy", optim.SGD(0.1))
    old.step(x, y)
    values = {name: value.copy() for name, value in old.parameters.items()}
    view = old.parameters["0.weight"]

    whole = nn.Sequential(part, nn.Dense(3, in_features=3))
    new = bp.Trainer(whole, "cross_entropy", optim.SGD(0.1))
    for name, value in values.items():
        np.testing.assert_array_equal(new.parameters[f"0.{name}"], value)
    before = bits(new)
    for call in (
        lambda: old.step(x, y),
        lambda: old.fit(x, y, epochs=1, progress=False),
        lambda: old.predict(x),
        lambda: old.evaluate(x, y),
        lambda: old.gradients(x, y),
        lambda: old.parameters,
        lambda: old.save("never"),
    ):
        with pytest.raises(RuntimeError, match="part of a larger model"):
            call()
    assert bits(new) == before
    assert not Path("never").exists()
    view[...] = 0  # the old views stay valid memory, no more than that
    assert bits(new) == before

    new.step(x, y)
    np.testing.assert_allclose(part(x), forward(part.parameters, x), rtol=0, atol=1e-5)
