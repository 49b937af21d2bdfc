"""Gradients by rows, of embeddings: the same updates as with whole gradients, and lazy Adam."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore._native import core
from bpcore.callbacks import Callback
from bpcore.engine.engine import Engine
from tests.training.problems import bits

Array = np.ndarray
TOKENS, LENGTH, WIDTH, CLASSES = 60, 5, 7, 3
OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optim.SGD(0.5),
    "sgd with decay": lambda: optim.SGD(0.5, weight_decay=0.01),
    "momentum": lambda: optim.SGD(0.1, momentum=0.9),
    "adam": lambda: optim.Adam(0.01),
    "adamw": lambda: optim.AdamW(0.01, amsgrad=True),
    "nadam": lambda: optim.NAdam(0.01),
    "adagrad": lambda: optim.Adagrad(0.1),
    "schedule": lambda: optim.Adam(lambda step: 0.01 / (1 + 0.1 * step)),
}


class Words(nn.Module):
    """Classes of bags of words. `tied`: the embedding's weight has another use; `halves`: it has two."""

    def __init__(
        self,
        count: int = TOKENS,
        width: int = WIDTH,
        padding: int | None = None,
        tied: bool = False,
        halves: bool = False,
    ) -> None:
        self.embedding = nn.Embedding(count, width, padding_index=padding)
        self.top = nn.Dense(CLASSES)
        self.tied = tied
        self.halves = halves

    def __call__(self, tokens: Any) -> Any:
        if self.halves:
            vectors = ops.concatenate([self.embedding(tokens[:, :2]), self.embedding(tokens[:, 2:])], 1)
        else:
            vectors = self.embedding(tokens)
        scores = self.top(ops.mean(vectors, 1))
        return scores + ops.mean(self.embedding.weight) if self.tied else scores


def _data(rows: int = 300) -> tuple[Array, Array]:
    """Tokens as of a text: a few of them often, most of them rarely, some never."""
    rng = np.random.default_rng(5)
    tokens = np.minimum(rng.geometric(0.08, (rows, LENGTH)) - 1, TOKENS - 6)
    return tokens, tokens.sum(axis=1) % CLASSES


def _trainer(optimizer: Any, dtype: str = "float32", threads: int = 1, **model: Any) -> bp.Trainer:
    return bp.Trainer(Words(**model), "cross_entropy", optimizer, dtype=dtype, threads=threads)


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plans of the sessions made during a test."""
    seen: list[Any] = []
    session = core.Session

    def noting(plan: Any, *arguments: Any, **options: Any) -> Any:
        seen.append(plan)
        return session(plan, *arguments, **options)

    monkeypatch.setattr(core, "Session", noting)
    return seen


@pytest.fixture
def whole(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Sets whether trainers that are made use whole gradients only."""
    by_rows = Engine._by_rows

    def set_(yes: bool) -> None:
        monkeypatch.setattr(Engine, "_by_rows", (lambda *_, **__: False) if yes else by_rows)

    return set_


def _assert_same(a: bp.Trainer, b: bp.Trainer) -> None:
    for name, value in (a.parameters | a.optimizer_state).items():
        other = (b.parameters | b.optimizer_state)[name]
        np.testing.assert_allclose(value, other, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("padding", [None, 0])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_embedding_is_updated_as_by_a_whole_gradient(
    name: str, padding: int | None, dtype: str, plans: list[Any], whole: Callable[[bool], None]
) -> None:
    x, y = _data()
    trainers = []
    for yes in (False, True):
        whole(yes)
        trainer = _trainer(OPTIMIZERS[name](), dtype, padding=padding)
        trainer.fit(x, y, epochs=4, batch_size=32, progress=False)
        trainer.step(x[:9], y[:9])
        trainers.append(trainer)
        assert {tuple(each.row_gradients) for each in plans} == {() if yes else (0,)}
        plans.clear()
    _assert_same(*trainers)


def test_more_steps_than_are_put_off_at_once(whole: Callable[[bool], None]) -> None:
    x, y = _data(3000)
    trainers = []
    for yes in (False, True):
        whole(yes)
        trainer = _trainer(optim.Adam(1e-3))
        trainer.fit(x, y, epochs=1, batch_size=1, progress=False)
        trainers.append(trainer)
    assert trainers[0].steps == 3000
    _assert_same(*trainers)


def test_what_a_callback_sees_is_up_to_date(whole: Callable[[bool], None]) -> None:
    class Seen(Callback):
        every_steps = 1

        def __init__(self) -> None:
            self.weights: list[Array] = []

        def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
            self.weights.append(trainer.parameters["embedding.weight"].copy())

    x, y = _data()
    found = []
    for yes in (False, True):
        whole(yes)
        seen = Seen()
        _trainer(optim.Adam(0.01)).fit(x, y, epochs=1, callbacks=[seen], progress=False)
        found.append(np.stack(seen.weights))
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-7)


def test_whole_gradients_in_between_leave_nothing_behind(whole: Callable[[bool], None]) -> None:
    x, y = _data()
    trainers = []
    for yes in (False, True):
        whole(yes)
        trainer = _trainer(optim.SGD(0.5))
        for accumulate in (1, 3, 1):
            whole(yes or accumulate > 1)
            trainer.fit(x, y, epochs=1, accumulate=accumulate, progress=False)
        trainers.append(trainer)
    _assert_same(*trainers)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_refused_step_leaves_nothing_behind(optimizer: str, whole: Callable[[bool], None]) -> None:
    x, _ = _data()
    wrong = np.where(np.arange(len(x)) == 150, np.inf, 1.0)
    trainers = []
    for yes in (False, True):
        whole(yes)

        def objective(model: Any, tokens: Any, factor: Any) -> Any:
            return ops.mean(model(tokens) ** 2 * ops.expand_dims(factor, -1))

        trainer = bp.Trainer(Words(), objective=objective, optimizer=OPTIMIZERS[optimizer]())
        with pytest.raises(FloatingPointError):
            trainer.fit((x, wrong), epochs=1, shuffle=False, progress=False, check_finite=False)
        trainer.fit((x, np.ones(len(x))), epochs=2, progress=False)
        trainers.append(trainer)
    _assert_same(*trainers)
    assert np.isfinite(trainers[0].parameters["embedding.weight"]).all()


@pytest.mark.parametrize("model", [{"tied": True}, {"halves": True}])
def test_a_weight_with_other_uses_has_a_whole_gradient(model: dict[str, Any], plans: list[Any]) -> None:
    x, y = _data()
    trainer = _trainer(optim.SGD(0.5), **model)
    trainer.fit(x, y, epochs=1, progress=False)
    assert plans[0].row_gradients == []


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_bits_do_not_depend_on_threads(name: str, plans: list[Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 3000, (600, 40)), np.arange(600) % CLASSES
    found = []
    for threads in (1, 2, 3, 8):
        trainer = _trainer(OPTIMIZERS[name](), threads=threads, count=3000, width=96)
        trainer.fit(x, y, epochs=2, batch_size=128, progress=False)
        found.append(bits(trainer))
    assert found == found[:1] * 4
    if core.openmp():
        assert plans[-1].threads(8) > 1


# Lazy Adam


def _lazy(
    w: Array, gradients: list[tuple[Array, Array]], lr: float, decay: float, decoupled: bool, amsgrad: bool
) -> Array:
    """Adam in the rows that each step's gradient touches, with the number of all steps."""
    w = w.astype(np.float64)
    m, v, largest = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, (rows, gradient) in enumerate(gradients, 1):
        g = gradient + (0 if decoupled else decay * w[rows])
        if decoupled:
            w[rows] -= lr * decay * w[rows]
        m[rows] = 0.9 * m[rows] + 0.1 * g
        v[rows] = 0.999 * v[rows] + 0.001 * g**2
        largest[rows] = np.maximum(largest[rows], v[rows])
        root = np.sqrt((largest if amsgrad else v)[rows] / (1 - 0.999**t))
        w[rows] -= lr * m[rows] / (1 - 0.9**t) / (root + 1e-8)
    return w


@pytest.mark.parametrize("kind", ["adam", "adam with decay", "amsgrad", "adamw"])
def test_lazy_adam_is_as_its_formula_says(kind: str) -> None:
    """The loss is linear in the vectors, so that a step's gradient is known beforehand."""
    rng = np.random.default_rng(1)
    x = np.minimum(rng.geometric(0.1, (50, LENGTH)) - 1, TOKENS - 1)
    factors = rng.normal(size=(50, LENGTH, WIDTH))
    decay = {"adam with decay": 0.1, "adamw": 0.1}.get(kind, 0.0)
    make = optim.AdamW if kind == "adamw" else optim.Adam
    optimizer = make(0.05, weight_decay=decay, amsgrad=kind == "amsgrad", lazy=True)
    model = nn.Sequential(nn.Embedding(TOKENS, WIDTH))

    def objective(model: Any, tokens: Any, factor: Any) -> Any:
        return ops.sum(model(tokens) * factor)

    trainer = bp.Trainer(model, objective=objective, optimizer=optimizer, dtype="float64")
    before = trainer.parameters["0.weight"].copy()
    trainer.fit((x, factors), epochs=1, batch_size=5, shuffle=False, progress=False)
    gradients = []
    for begin in range(0, 50, 5):
        whole = np.zeros((TOKENS, WIDTH))
        np.add.at(whole, x[begin : begin + 5], factors[begin : begin + 5])
        rows = np.unique(x[begin : begin + 5])
        gradients.append((rows, whole[rows]))
    want = _lazy(before, gradients, 0.05, decay, kind == "adamw", kind == "amsgrad")
    np.testing.assert_allclose(trainer.parameters["0.weight"], want, rtol=1e-10)
    never = np.setdiff1d(np.arange(TOKENS), x)
    np.testing.assert_array_equal(trainer.parameters["0.weight"][never], before[never])


def test_a_group_may_be_lazy() -> None:
    x, y = _data()
    group = optim.Group("embedding.weight", lazy=True)
    a, b = _trainer(optim.Adam(0.01, groups=[group])), _trainer(optim.Adam(0.01, lazy=True))
    for trainer in (a, b):
        trainer.fit(x, y, epochs=2, progress=False)
    assert bits(a) == bits(b)


@pytest.mark.parametrize(
    ("trainer_options", "fit_options"),
    [
        ({"clip_norm": 1.0}, {}),
        ({"clip_layer_norm": 1.0}, {}),
        ({"clip_value": 1.0}, {}),
        ({"nonfinite": "skip"}, {}),
        ({"ema": 0.9}, {}),
        ({}, {"accumulate": 2}),
        ({}, {"callbacks": [bp.callbacks.GradientHealth(1)]}),
    ],
    ids=str,
)
def test_lazy_goes_with_nothing_that_reads_whole_gradients(
    trainer_options: dict[str, Any], fit_options: dict[str, Any]
) -> None:
    x, y = _data()
    trainer = bp.Trainer(Words(), "cross_entropy", optim.Adam(lazy=True), **trainer_options)
    with pytest.raises(ValueError, match=r"^fit: a lazy optimizer reads gradients by rows"):
        trainer.fit(x, y, epochs=1, progress=False, **fit_options)
    assert trainer.steps == 0


def test_lazy_is_lazy_on_batches_one_by_one() -> None:
    x, y = _data()
    a, b = _trainer(optim.Adam(0.01, lazy=True)), _trainer(optim.Adam(0.01, lazy=True))
    a.fit([(x[:150], y[:150]), (x[150:], y[150:])], epochs=2, progress=False)
    b.fit(x, y, epochs=2, batch_size=150, shuffle=False, progress=False)
    assert bits(a) == bits(b)


def test_lazy_is_saved(tmp_path: Any) -> None:
    x, y = _data()
    a = _trainer(optim.Adam(0.01, lazy=True))
    a.fit(x, y, epochs=2, progress=False)
    a.save(tmp_path / "a.safetensors")
    b = bp.Trainer.load(tmp_path / "a.safetensors", Words())
    assert b.optimizer.lazy is True
    for trainer in (a, b):
        trainer.fit(x, y, epochs=1, progress=False)
    assert bits(a) == bits(b)
