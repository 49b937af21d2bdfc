"""Truncated backpropagation through time: recurrent layers that carry their state from step to step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.engine.task import Task
from tests.support.draw import normal
from tests.training.problems import bits

KINDS = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}
ROWS, CHUNK, CHUNKS = 3, 4, 5

every_kind = pytest.mark.parametrize("kind", KINDS)


def _chunked(sequences: Any) -> Any:
    """(rows, steps, features) as batches that follow each other in time."""
    rows, steps, features = sequences.shape
    parts = sequences.reshape(rows, steps // CHUNK, CHUNK, features).swapaxes(0, 1)
    return parts.reshape(-1, CHUNK, features)


def _model(kind: str, layers: int = 1, **options: Any) -> nn.Sequential:
    return nn.Sequential(KINDS[kind](6, True, layers=layers, **options), nn.Dense(2))


def _trainer(model: nn.Module, lr: float = 0.0, **options: Any) -> bp.Trainer:
    return bp.Trainer(model, "mse", optim.SGD(lr), **options)


def _fit(trainer: bp.Trainer, x: Any, y: Any, **options: Any) -> None:
    trainer.fit(x, y, epochs=1, batch_size=ROWS, shuffle=False, progress=False, **options)


@every_kind
@pytest.mark.parametrize("layers", [1, 2])
def test_chunks_continue_each_other(kind: str, layers: int) -> None:
    x = normal((ROWS, CHUNK * CHUNKS, 2)).astype("float32")
    model = _model(kind, layers, stateful=True)
    trainer = _trainer(model)  # a learning rate of 0: what is looked at are the states
    chunks = _chunked(x)
    _fit(trainer, chunks, chunks)
    whole = KINDS[kind](6, layers=layers, return_state=True, in_features=2)
    layer: Any = model[0]
    for name, value in whole.parameters.items():
        value[...] = layer.parameters[name]
    _, state = whole(x)
    for kept, value in zip(layer.carried, state if kind == "LSTM" else [state], strict=True):
        np.testing.assert_allclose(kept.value, value, atol=1e-5)

    before = [kept.value.copy() for kept in layer.carried]
    first = trainer.predict(chunks[:ROWS])
    np.testing.assert_array_equal(trainer.predict(chunks[:ROWS]), first)  # inference leaves states alone
    trainer.gradients(chunks[:ROWS], chunks[:ROWS])
    for kept, value in zip(layer.carried, before, strict=True):
        np.testing.assert_array_equal(kept.value, value)
    layer.reset_state()
    assert not any(kept.value.any() for kept in layer.carried)
    assert not np.array_equal(trainer.predict(chunks[:ROWS]), first)


@every_kind
def test_no_gradient_flows_through_the_carried_state(kind: str) -> None:
    x = normal((2 * ROWS, CHUNK, 2)).astype("float32")
    model = _model(kind, stateful=True)
    trainer = _trainer(model)
    _fit(trainer, x[:ROWS], x[:ROWS])
    layer: Any = model[0]
    kept = [each.value.copy() for each in layer.carried]
    found = trainer.gradients(x[ROWS:], x[ROWS:])

    plain = _model(kind)
    given = tuple(kept) if kind == "LSTM" else kept[0]

    def objective(m: Any, x: Any) -> Any:
        return ops.mean(ops.square(m[1](m[0](x, given)) - x))

    other = bp.Trainer(plain, objective=objective, optimizer="sgd")
    plain.build((ROWS, CHUNK, 2))
    for name, value in plain.parameters.items():
        value[...] = model.parameters[name]
    for name, gradient in other.gradients(x[ROWS:]).items():
        np.testing.assert_allclose(found[name], gradient, atol=1e-6)


@every_kind
def test_a_given_state_comes_before_the_carried_one(kind: str) -> None:
    x = normal((ROWS, CHUNK, 2)).astype("float32")
    states = [normal((ROWS, 6), key=i).astype("float32") for i in range(2)]
    given = tuple(states) if kind == "LSTM" else states[0]
    model = _model(kind, stateful=True, return_state=True)
    layer: Any = model[0]
    plain = KINDS[kind](6, return_state=True, in_features=2)

    def objective(m: Any, x: Any) -> Any:
        return ops.mean(ops.square(m[1](m[0](x, given)[0]) - x))

    trainer = bp.Trainer(model, objective=objective, optimizer=optim.SGD(0.0))
    trainer.step(x)
    for name, value in plain.parameters.items():
        value[...] = layer.parameters[name]
    _, last = plain(x, given)
    for kept, value in zip(layer.carried, last if kind == "LSTM" else [last], strict=True):
        np.testing.assert_allclose(kept.value, value, atol=1e-6)


@every_kind
def test_batches_of_another_size_are_refused(kind: str) -> None:
    x = normal((2 * ROWS + 1, CHUNK, 2)).astype("float32")
    model = _model(kind, stateful=True)
    with pytest.raises(ValueError, match=rf"{kind} layer '0': the carried state has 3 rows, the batch 1"):
        _fit(_trainer(model), x, x)


def test_samples_in_another_order_are_refused() -> None:
    x = normal((2 * ROWS, CHUNK, 2)).astype("float32")
    trainer = _trainer(_model("GRU", stateful=True))
    with pytest.raises(ValueError, match=r"^fit: GRU layer '0' carries .* shuffle=False"):
        trainer.fit(x, x, epochs=1, batch_size=ROWS, progress=False)
    assert trainer.steps == 0


def test_a_layer_without_state_has_none_to_reset() -> None:
    with pytest.raises(RuntimeError, match="stateful=True"):
        nn.GRU(2).reset_state()


def test_two_calls_in_a_step_are_refused() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.GRU(2, True, stateful=True, in_features=2)

        def __call__(self, x: Any) -> Any:
            return self.layer(self.layer(x))

    x = normal((ROWS, CHUNK, 2)).astype("float32")
    with pytest.raises(ValueError, match="carried.0 is updated twice"):
        _fit(_trainer(Twice()), x, x)


@every_kind
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_for_any_number_of_threads(kind: str, dtype: str) -> None:
    x = normal((64 * 2, 5, 33)).astype(dtype)

    def run(threads: int) -> tuple[Any, bytes]:
        layers = nn.Sequential(
            KINDS[kind](65, True, layers=2, bidirectional=True),
            KINDS[kind](65, True, stateful=True),
            nn.Dense(33),
        )
        layers.build((64, 5, 33), dtype=dtype)
        trainer = bp.Trainer(layers, "mse", optim.Adam(1e-2), threads=threads, dtype=dtype)
        trainer.fit(x, x, epochs=1, batch_size=64, shuffle=False, progress=False)
        return bits(layers), trainer.predict(x[:64]).tobytes()

    expected = run(1)
    for threads in (2, 3, 8):
        assert run(threads) == expected


def _arenas(steps: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes of the training plans that chunks of 50 of a sequence of so many steps are trained by."""
    found: list[int] = []
    make = Task.training_plan

    def recorded(self: Task, *arguments: Any) -> Any:
        plan = make(self, *arguments)
        found.append(plan.plan.arena_bytes)
        return plan

    x = normal((ROWS, steps, 1)).astype("float32")
    chunks = x.reshape(ROWS, -1, 50, 1).swapaxes(0, 1).reshape(-1, 50, 1)
    model = nn.Sequential(nn.LSTM(4, True, stateful=True), nn.Dense(1))
    with monkeypatch.context() as patch:
        patch.setattr(Task, "training_plan", recorded)
        _fit(_trainer(model, 1e-2), chunks[:, :-1], chunks[:, 1:])
    layer: Any = model[0]
    assert all(np.isfinite(kept.value).all() and kept.value.any() for kept in layer.carried)
    return found


def test_memory_does_not_depend_on_the_length(monkeypatch: pytest.MonkeyPatch) -> None:
    long, short = _arenas(10_000, monkeypatch), _arenas(100, monkeypatch)
    assert len(long) == 1
    assert long == short
