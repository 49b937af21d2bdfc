"""Random layers in training: keyed by seed and step, the same bits however the work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore._native import core
from tests.support import philox
from tests.training.problems import bits, blobs

SIZE = 150


class Weights(nn.Module):
    """An objective whose gradient is the mask of this step."""

    def __init__(self) -> None:
        self.drop = nn.Dropout(0.5)
        self.weight = nn.Parameter((SIZE,), init="zeros")

    def __call__(self, x: Any) -> Any:
        return ops.mean(x) * ops.sum(self.drop(self.weight))


def _objective(model: Weights, x: Any) -> Any:
    return model(x)


def _mask(step: int, seed: int = 3, path: str = "drop") -> np.ndarray:
    return 2.0 * philox.kept((SIZE,), 0.5, philox.stream_of(f"{path}:0"), seed, step)


def _sum_of_masks(steps: int) -> np.ndarray:
    return np.asarray(sum(_mask(step) for step in range(steps)))


def _weights_trainer() -> bp.Trainer:
    return bp.Trainer(Weights(), objective=_objective, optimizer=optim.SGD(1.0), seed=3, dtype="float64")


def test_every_step_of_fit_has_its_mask() -> None:
    """The last batch of an epoch is smaller: it has a plan of its own, and the masks of its own steps."""
    trainer = _weights_trainer()
    trainer.fit(np.ones((7, 1)), epochs=2, batch_size=3, progress=False)
    assert trainer.steps == 6
    np.testing.assert_array_equal(trainer.parameters["weight"], -_sum_of_masks(6))


def test_step_and_gradients_use_the_masks_of_fit() -> None:
    trainer, x = _weights_trainer(), np.ones((3, 1))
    for step in range(4):
        with bp.training(99):  # a trainer keeps to its own seed
            gradient = trainer.gradients(x)["weight"]
        np.testing.assert_array_equal(gradient, _mask(step))
        np.testing.assert_array_equal(trainer.gradients(x)["weight"], gradient)
        trainer.step(x)
        np.testing.assert_array_equal(trainer.parameters["weight"], -_sum_of_masks(step + 1))
    trainer.fit(np.ones((6, 1)), epochs=1, batch_size=3, progress=False)
    np.testing.assert_array_equal(trainer.parameters["weight"], -_sum_of_masks(6))


def test_a_layer_that_another_model_has_too_keeps_its_numbers() -> None:
    """Plans made before and after the layer joined the other model draw alike."""
    trainer, x = _weights_trainer(), np.ones((3, 1))
    trainer.step(x)
    other = nn.Sequential(nn.Dense(2), trainer.model.drop)
    bp.Trainer(other, "mse").step(np.ones((4, 3)), np.ones((4, 2)))
    trainer.step(x)
    trainer.step(np.ones((5, 1)))
    np.testing.assert_array_equal(trainer.parameters["weight"], -_sum_of_masks(3))


def test_a_step_that_is_not_done_is_drawn_again() -> None:
    trainer, x = _weights_trainer(), np.ones((3, 1))
    trainer.step(x)
    trainer.parameters["weight"][np.flatnonzero(_mask(1))[0]] = np.inf
    with pytest.raises(FloatingPointError):
        trainer.step(x)
    trainer.parameters["weight"][...] = 0
    trainer.step(x)
    np.testing.assert_array_equal(trainer.parameters["weight"], -_mask(1))


# A network with all the random layers, large enough for several threads


def _network(hidden: int = 200) -> nn.Sequential:
    return nn.Sequential(
        nn.GaussianNoise(0.1),
        nn.Dense(hidden, "relu"),
        nn.Dropout(0.2),
        nn.Dense(hidden, "tanh"),
        nn.AlphaDropout(0.1),
        nn.Dense(3),
    )


def _trainer(
    hidden: int = 20, seed: int = 0, threads: int | None = 1, dtype: str = "float32", model: Any = None
) -> bp.Trainer:
    model = model or _network(hidden)
    return bp.Trainer(model, "cross_entropy", optim.Adam(1e-2), seed=seed, threads=threads, dtype=dtype)


def _fitted(trainer: bp.Trainer, epochs: int = 2, batch_size: int = 32, **options: Any) -> bp.Trainer:
    x, y = blobs()
    trainer.fit(x, y, epochs=epochs, batch_size=batch_size, progress=False, **options)
    return trainer


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_any_number_of_threads_gives_the_same_bits(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plans: list[Any] = []
    session = core.Session

    def noting(plan: Any, *arguments: Any, **options: Any) -> Any:
        plans.append(plan)
        return session(plan, *arguments, **options)

    monkeypatch.setattr(core, "Session", noting)
    one = _fitted(_trainer(1000, dtype=dtype), batch_size=90)
    assert plans[0].threads(2) == 2, "the network is too small for this test: nothing uses a thread"
    for threads in (2, 3, 8):
        more = _fitted(_trainer(1000, threads=threads, dtype=dtype), batch_size=90)
        assert bits(more) == bits(one), threads
        assert more.history["loss"] == one.history["loss"]


def test_two_runs_agree_and_another_seed_does_not() -> None:
    assert bits(_fitted(_trainer())) == bits(_fitted(_trainer()))
    trained = []
    for seed in (0, 1):
        model = _network(20)
        model.build(4)
        trained.append(bits(_fitted(_trainer(seed=seed, model=model), shuffle=False)))
    assert trained[0] != trained[1]


def test_numbers_of_steps_are_not_those_of_the_step_before() -> None:
    """One batch again and again with a learning rate of 0: only the masks change the loss."""
    x, y = blobs()
    trainer = bp.Trainer(_network(20), "cross_entropy", optim.SGD(0.0))
    losses = [trainer.step(x, y) for _ in range(20)]
    assert len(set(losses)) == 20


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_resumed_run_has_the_bits_of_one_that_went_on(shuffle: bool, tmp_path: Path) -> None:
    whole = _fitted(_trainer(seed=4), epochs=4, shuffle=shuffle)
    _fitted(_trainer(seed=4), epochs=2, shuffle=shuffle).save(tmp_path / "half")
    resumed = _fitted(bp.Trainer.load(tmp_path / "half", _network(20)), epochs=2, shuffle=shuffle)
    assert resumed.steps == whole.steps
    assert bits(resumed) == bits(whole)


def test_steps_go_on_after_loading(tmp_path: Path) -> None:
    x, y = blobs()
    whole, first = _trainer(), _trainer()
    expected = [whole.step(x, y) for _ in range(6)]
    found = [first.step(x, y) for _ in range(3)]
    first.save(tmp_path / "file")
    second = bp.Trainer.load(tmp_path / "file", _network(20))
    found += [second.step(x, y) for _ in range(3)]
    assert found == expected
    assert bits(second) == bits(whole)


def test_evaluation_and_prediction_are_without_noise() -> None:
    x, y = blobs()
    trainer = _fitted(_trainer())
    plain = nn.Sequential(*(layer for layer in trainer.model.layers if isinstance(layer, nn.Dense))).copy()
    expected = plain(x)
    quiet = bp.Trainer(plain, "cross_entropy").evaluate(x, y)
    for _ in range(2):
        np.testing.assert_array_equal(trainer.predict(x), expected)
        np.testing.assert_array_equal(trainer.model(x), expected)
        assert trainer.evaluate(x, y) == quiet
        with bp.training(1):
            np.testing.assert_array_equal(trainer.predict(x), expected)
            assert trainer.evaluate(x, y) == quiet
            assert (trainer.model(x) != expected).mean() > 0.9


def test_evaluating_in_between_changes_nothing() -> None:
    x, y = blobs()
    trainer = _trainer()
    for _ in range(2):
        _fitted(trainer, epochs=1, validation_data=(x, y))
        trainer.evaluate(x, y)
        trainer.predict(x)
        trainer.gradients(x, y)
    assert bits(trainer) == bits(_fitted(_trainer(), epochs=2))


def test_it_learns() -> None:
    x, y = blobs()
    trainer = bp.Trainer(_network(50), "cross_entropy", optim.Adam(1e-2), metrics=["accuracy"])
    trainer.fit(x, y, epochs=30, progress=False)
    assert trainer.evaluate(x, y)["accuracy"] == 1.0


def test_a_mask_is_not_kept_for_the_backward_pass() -> None:
    """The arena of a training plan holds no array for it: of dropout, the output alone outlives its step."""
    graph = core.Graph()
    x = graph.input((100, 100), "float32")
    weight = graph.parameter(0, (100, 100), "float32", "w")
    hidden = graph.add("matmul", [x, weight], {})
    dropped = graph.add("dropout", [hidden], {"rate": 0.5, "stream": 1})
    loss = graph.add("sum", [dropped], {"axes": [0, 1], "keepdims": False})
    plan = core.Plan(graph, [loss], list(enumerate(graph.gradients(loss, [weight]))), True)
    assert sum("dropout" in line for line in plan.instructions) == 2
    assert plan.live_bytes < 2 * 40_000 + 1000
