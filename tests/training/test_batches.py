"""Batches from lists, loaders, generators and functions: the same bits as the arrays they are made of."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, metrics, nn, ops, optim
from bpcore.callbacks import Callback, GradientHealth, LambdaCallback
from tests.training.problems import bits, blobs, network, regression
from tests.training.refusal import assert_refused, everything, trained

X, Y = blobs(90)
W = np.random.default_rng(1).random(90).astype(np.float32)


def batched(*arrays: Any, size: int = 20) -> list[Any]:
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[0]), size)]


class Loader:
    """Like PyTorch's: it can be gone through, has a length, and its tensors have NumPy's interface only."""

    class Tensor:
        def __init__(self, array: Any) -> None:
            self._array = array
            self.shape = array.shape

        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            return self._array

    def __init__(self, batches: list[Any]) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Any]:
        return ([self.Tensor(array) for array in batch] for batch in self._batches)


SOURCES: dict[str, Callable[[list[Any]], Any]] = {
    "a list": lambda batches: batches,
    "a list of lists": lambda batches: [list(batch) for batch in batches],
    "a loader": Loader,
    "a function": lambda batches: lambda: iter(batches),
    "a function of the epoch": lambda batches: lambda epoch: batches if epoch in range(3) else None,
    "a generator function": lambda batches: lambda: (batch for batch in batches),
    "an endless iterator": lambda batches: itertools.cycle(batches),
    "a function without end": lambda batches: lambda: itertools.cycle(batches),
}


def trainer(**options: Any) -> bp.Trainer:
    model = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dropout(0.3), nn.BatchNorm(), nn.Dense(3))
    return bp.Trainer(model, "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], **options)


def assert_same(a: bp.Trainer, b: bp.Trainer) -> None:
    assert bits(a) == bits(b)
    assert a.steps == b.steps
    assert list(a.history) == list(b.history)
    for name in a.history:
        np.testing.assert_array_equal(a.history[name], b.history[name])


@pytest.mark.parametrize("accumulate", [1, 2, 3])
@pytest.mark.parametrize("source", SOURCES)
def test_the_same_bits_as_arrays(source: str, accumulate: int) -> None:
    arrays, batches = trainer(), trainer()
    options: Any = {"epochs": 3, "accumulate": accumulate, "progress": False}
    arrays.fit(X, Y, sample_weight=W, batch_size=16, shuffle=False, validation_data=(X, Y), **options)
    endless = {"steps_per_epoch": 6 // accumulate} if "end" in source else {}
    given = SOURCES[source](batched(X, Y, W, size=16))
    validation = SOURCES["a function"](batched(X, Y, size=256))
    batches.fit(given, validation_data=validation, **endless, **options)
    assert_same(arrays, batches)


def test_batches_of_different_sizes_and_dtypes() -> None:
    cuts = [0, 7, 20, 60, 62, 90]
    parts = [(X[a:b], Y[a:b]) for a, b in itertools.pairwise(cuts)]
    parts[1] = (parts[1][0].astype(np.float64), parts[1][1].astype(np.uint8))
    parts[2] = (parts[2][0].tolist(), parts[2][1].tolist())
    stepped, fitted = trainer(), trainer()
    for part in parts:
        stepped.step(*part)
    fitted.fit(parts, epochs=1, progress=False)
    assert bits(stepped) == bits(fitted)
    assert fitted.history["accuracy"][0] >= 0


@pytest.mark.parametrize("accumulate", [1, 2])
def test_metrics_of_sums_and_of_all_rows(accumulate: int) -> None:
    def learner() -> bp.Trainer:
        measured = [metrics.ROCAUC(), metrics.F1(average="macro"), metrics.ConfusionMatrix(), "accuracy"]
        return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=measured)

    arrays, batches = learner(), learner()
    options: Any = {"epochs": 2, "accumulate": accumulate, "progress": False}
    logs: list[list[Any]] = [[], []]
    for each, given, kept in (
        (arrays, {"x": X, "y": Y, "batch_size": 16, "shuffle": False, "validation_data": (X, Y)}, logs[0]),
        (batches, {"x": batched(X, Y, size=16), "validation_data": Loader(batched(X, Y, size=256))}, logs[1]),
    ):
        seen = LambdaCallback(on_step=lambda _, values, kept=kept: kept.append(values), every_steps=1)
        each.fit(**given, callbacks=[seen], **options)
    assert_same(arrays, batches)
    assert len(logs[0]) == len(logs[1]) == arrays.steps
    for a, b in zip(*logs, strict=True):
        assert list(a) == list(b)
        for name in a:
            np.testing.assert_array_equal(a[name], b[name])
    expected = arrays.evaluate(X, Y)
    for name, value in batches.evaluate(batched(X, Y, size=256)).items():
        np.testing.assert_array_equal(value, expected[name])


def test_epoch_means_are_sums_over_sums_of_weights() -> None:
    x, y = regression(30, dtype="float32")
    w = np.arange(30, dtype=np.float32)
    model = network(2, in_features=3)
    learner = bp.Trainer(model, "mse", optim.SGD(0.0))
    history = learner.fit([(x[:4], y[:4], w[:4]), (x[4:], y[4:], w[4:])], epochs=1, progress=False)
    each = ((model(x) - y) ** 2).mean(axis=1)
    assert history["loss"][0] == pytest.approx((each * w).sum() / w.sum(), rel=1e-5)
    assert learner.evaluate([(x[:4], y[:4], w[:4]), (x[4:], y[4:], w[4:])])["loss"] == pytest.approx(
        history["loss"][0]
    )


def test_a_batch_whose_weights_are_all_zero_changes_no_mean() -> None:
    one, two = trainer(), trainer()
    one.fit([(X[:20], Y[:20], W[:20])], epochs=1, progress=False)
    two.fit([(X[:20], Y[:20], W[:20]), (X[20:40], Y[20:40], 0 * W[20:40])], epochs=1, progress=False)
    assert one.history["loss"] == two.history["loss"]


def test_several_inputs_by_position_and_by_name() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Dense(2), nn.Dense(2)

        def __call__(self, left: Any, right: Any) -> Any:
            return self.a(left) + self.b(right)

    x, y = regression(30, dtype="float32")
    found = set()
    for source in (
        batched(x, x, y, size=10),
        [((a, b), t) for a, b, t in batched(x, x, y, size=10)],
        [({"right": b, "left": a}, t) for a, b, t in batched(x, x, y, size=10)],
        ([[a, b], t] for a, b, t in batched(x, x, y, size=10)),
    ):
        learner = bp.Trainer(Sum(), "mse", optim.SGD(0.1))
        if isinstance(source, list) and len(source[0]) == 3:
            learner.fit((x, x), y, epochs=1, batch_size=10, shuffle=False, progress=False)
        else:
            learner.fit(source, epochs=1, progress=False)
        found.add(bits(learner))
    assert len(found) == 1


@pytest.mark.parametrize("kind", [tuple, list])
def test_an_objective_gets_its_inputs(kind: Any) -> None:
    def objective(model: Any, x: Any, y: Any) -> Any:
        return losses.mse(model(x), y)

    def single(model: Any, x: Any) -> Any:
        return ops.mean(model(x) ** 2)

    x, y = regression(30, dtype="float32")
    options: Any = {"epochs": 2, "progress": False}
    a, b = (bp.Trainer(network(2), objective=objective) for _ in range(2))
    a.fit((x, y), batch_size=10, shuffle=False, **options)
    parts = [kind(batch) for batch in batched(x, y, size=10)]
    b.fit(lambda: iter(parts), validation_data=lambda: parts, **options)
    assert bits(a) == bits(b)
    assert len(b.history["val_loss"]) == 2
    a, b = (bp.Trainer(network(2), objective=single) for _ in range(2))
    a.fit(x, batch_size=10, shuffle=False, **options)
    b.fit(lambda: (batch[0] for batch in parts), **options)
    assert bits(a) == bits(b)


def test_evaluate_and_predict() -> None:
    learner = trained()
    assert learner.evaluate(iter(batched(X, Y, size=256))) == learner.evaluate(X, Y)
    expected = learner.predict(X)
    for source in (lambda: (x for (x,) in batched(X)), iter([X[:7], X[7:]]), Loader(batched(X))):
        np.testing.assert_array_equal(learner.predict(source), expected)
    with pytest.raises(ValueError, match="predict: there are no batches"):
        learner.predict(iter([]))
    with pytest.raises(ValueError, match=r"^predict: batch 1: x\[0, 0\] is nan"):
        learner.predict(iter([X, X * np.nan]))


def test_functions_are_given_the_epoch() -> None:
    """If they need one argument, or have one of its name; others that may be left out are theirs."""
    parts, told = batched(X, Y), list[Any]()

    def by_name(epoch: int = 0) -> Iterator[Any]:
        told.append(epoch)
        return iter(parts)

    def behind_another(size: int = 20, *, epoch: int = 0) -> Iterator[Any]:
        told.append((size, epoch))
        return iter(parts)

    def by_place(number: int, size: int = 20) -> Iterator[Any]:
        told.append((number, size))
        return iter(parts)

    def without(size: int = 20) -> Iterator[Any]:
        told.append(size)
        return iter(parts)

    for function in (by_name, behind_another, by_place, without):
        trainer().fit(function, epochs=2, progress=False)
    assert told == [0, 1, (20, 0), (20, 1), (0, 20), (1, 20), 20, 20]


def test_epochs_go_on_with_one_stream() -> None:
    parts = batched(X, Y, size=15)
    long, short = trainer(), trainer()
    long.fit(parts, epochs=1, progress=False)
    history = short.fit(iter(parts), epochs=3, steps_per_epoch=2, progress=False)
    assert bits(long) == bits(short)
    assert len(history["loss"]) == 3
    again, twice = trainer(), trainer()
    again.fit([*parts, *parts][:8], epochs=1, progress=False)
    twice.fit(parts, epochs=2, steps_per_epoch=4, progress=False)  # begun again at its end
    assert bits(again) == bits(twice)


def test_a_source_that_reuses_its_arrays() -> None:
    def reusing() -> Iterator[Any]:
        x, y = np.empty_like(X[:15]), np.empty_like(Y[:15])
        for a, b in batched(X, Y, size=15):
            x[...], y[...] = a, b
            yield x, y

    for accumulate in (1, 3):
        a, b = trainer(), trainer()
        a.fit(batched(X, Y, size=15), epochs=1, accumulate=accumulate, progress=False)
        b.fit(reusing, epochs=1, accumulate=accumulate, progress=False)
        assert bits(a) == bits(b)


def test_a_stateful_model_takes_batches_in_their_order() -> None:
    x = np.random.default_rng(0).normal(size=(12, 4, 2)).astype(np.float32)
    a, b = (
        bp.Trainer(nn.Sequential(nn.GRU(5, True, stateful=True), nn.Dense(2)), "mse", seed=1)
        for _ in range(2)
    )
    a.fit(x, x, epochs=2, batch_size=3, shuffle=False, progress=False)
    b.fit(batched(x, x, size=3), epochs=2, progress=False)
    assert bits(a) == bits(b)


# What ends a run


class Told(Callback):
    every_steps = 1

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.ended = 0

    def on_step(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.steps.append(trainer.steps)

    def on_train_end(self, trainer: bp.Trainer, logs: Mapping[str, float]) -> None:  # noqa: ARG002
        self.ended += 1


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize("error", [OSError("no more"), KeyboardInterrupt(), StopIteration()])
def test_what_a_source_raises_is_raised_as_it_is(error: BaseException, watched: bool) -> None:
    class Broken:
        def __iter__(self) -> Any:
            self.given = 0
            return self

        def __next__(self) -> Any:
            self.given += 1
            if self.given > 3 and self.raises:
                raise error
            return X[:20], Y[:20]

        raises = True

    source, told = Broken(), Told()
    learner = trained()
    steps, epochs = learner.steps, learner.epochs
    callbacks = [told] if watched else []
    if isinstance(error, StopIteration):  # which is how it ends
        learner.fit(iter(source), epochs=1, callbacks=callbacks, progress=False)
        assert (learner.steps, learner.epochs) == (steps + 3, epochs + 1)
        return
    with pytest.raises(type(error)) as caught:
        learner.fit(lambda: iter(source), epochs=4, callbacks=callbacks, progress=False)
    assert caught.value is error
    assert (learner.steps, learner.epochs) == (steps + 3, epochs)
    assert told.ended == watched
    same = trained()
    same.fit([(X[:20], Y[:20])] * 3, epochs=1, progress=False)
    assert bits(same) == bits(learner)
    learner.fit(X, Y, epochs=1, progress=False)
    assert learner.epochs == epochs + 1


def test_ctrl_c_ends_a_source_that_waits() -> None:
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        closed = []

        def waits() -> Iterator[Any]:
            yield X, Y
            try:
                signal.raise_signal(signal.SIGINT)
                yield from itertools.repeat((X, Y), 50)
            finally:
                closed.append(True)

        learner, told = trained(), Told()
        steps = learner.steps
        with pytest.raises(KeyboardInterrupt):
            learner.fit(waits, epochs=1, callbacks=[told], progress=False)
        assert learner.steps == steps + 1
        assert (told.ended, closed) == (1, [True])
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_loss_that_is_not_finite_stops_before_its_step() -> None:
    huge = (np.full_like(X[:20], 1e30), Y[:20])
    parts = [(X[:20], Y[:20]), (X[20:40], Y[20:40]), huge, (X[:20], Y[:20])]
    model = lambda: nn.Sequential(nn.Dense(8, activation=lambda v: v * v), nn.Dense(3))  # noqa: E731
    stopped = bp.Trainer(model(), "cross_entropy", optim.SGD(0.01))
    with pytest.raises(
        FloatingPointError, match=r"loss is not finite at step 2 \(step 2 of epoch 1\).*A smaller learning"
    ):
        stopped.fit(parts, epochs=1, progress=False)
    assert (stopped.steps, stopped.epochs) == (2, 0)
    options: Any = {"nonfinite": "skip", "seed": 0}
    stream = bp.Trainer(model(), "cross_entropy", optim.SGD(0.01), **options)
    arrays = bp.Trainer(model(), "cross_entropy", optim.SGD(0.01), **options)
    stream.fit(parts, epochs=2, progress=False)
    x, y = (np.concatenate(column) for column in zip(*parts, strict=True))
    arrays.fit(x, y, epochs=2, batch_size=20, shuffle=False, progress=False)
    assert stream.skipped == arrays.skipped == 2
    assert_same(arrays, stream)


def test_gradient_health_watches_batches() -> None:
    healths = []
    for given in ((X[:80], Y[:80]), (batched(X[:80], Y[:80]),)):
        learner = trainer()
        options = {"batch_size": 20, "shuffle": False} if len(given) == 2 else {}
        learner.fit(*given, epochs=3, callbacks=[GradientHealth(every=2)], progress=False, **options)
        healths.append(learner.health)
    arrays, stream = healths
    assert arrays is not None
    assert stream is not None
    np.testing.assert_array_equal(arrays.steps, stream.steps)
    np.testing.assert_array_equal(arrays.gradient_norms, stream.gradient_norms)
    np.testing.assert_array_equal(arrays.losses, stream.losses)


@pytest.mark.parametrize("at", [0, 2])
@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ((X[:20, :3], Y[:20]), ValueError, "expected input of shape"),
        ((np.where(X[:20] == X[3, 1], np.nan, X[:20]), Y[:20]), ValueError, "x[3, 1] is nan"),
        ((X[:20], Y[:20] + 1), ValueError, "cross_entropy takes integers from 0 to 2"),
        ((X[:20], Y[:19]), ValueError, "x has 20 samples, y has 19"),
        ((X[:20], Y[:20], -W[:20]), ValueError, "sample_weight must be at least 0"),
        ((X[:0], Y[:0]), ValueError, "x is empty"),
        (X[:20], TypeError, "expected (x, y) or (x, y, sample_weight), got a ndarray"),
        ((X,), TypeError, "got a tuple of 1"),
        ((X, None), TypeError, "y is missing"),
        (None, TypeError, "got a NoneType"),
    ],
)
def test_a_bad_batch_is_named_before_its_step(
    batch: Any, error: type[Exception], message: str, at: int
) -> None:
    good = (X[:20], Y[:20])
    source = lambda: iter([good] * at + [batch, good])  # noqa: E731
    learner = trained()
    place = f"fit: batch {at} of epoch {learner.epochs + 1}: "
    if at == 0:
        assert_refused(learner, lambda: learner.fit(source, epochs=1, progress=False), error, message)
    same = trained()
    with pytest.raises(error) as caught:
        learner.fit(source, epochs=1, progress=False)
    assert str(caught.value).startswith(place)
    assert message in str(caught.value)
    for _ in range(at):
        same.step(*good)
    assert bits(learner) == bits(same)


def generator() -> Any:
    return (batch for batch in batched(X, Y))


def unequal() -> list[Any]:
    return [(X[:a], Y[:a]) for a in (20, 10, 20)]


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a generator for two epochs": ({"x": generator(), "epochs": 2}, ValueError, "pass the function"),
    "a generator to validate two epochs": (
        {"x": batched(X, Y), "epochs": 2, "validation_data": generator()}, ValueError, "validation: a",
    ),
    "no batches": ({"x": iter([])}, ValueError, "there are no batches for epoch 3"),
    "no batches of a function": ({"x": list}, ValueError, "there are no batches for epoch 3"),
    "a function that returns a number": ({"x": lambda: 3}, TypeError, "of batches, got int"),
    "y": ({"x": generator(), "y": Y}, ValueError, "x gives batches, with all that belongs to them"),
    "batch_size": ({"x": generator(), "batch_size": 32}, ValueError, "don't pass batch_size"),
    "sample_weight": ({"x": generator(), "sample_weight": W}, ValueError, "don't pass sample_weight"),
    "class_weight": ({"x": generator(), "class_weight": "balanced"}, ValueError, "don't pass class_weight"),
    "validation_split": ({"x": generator(), "validation_split": 0.5}, ValueError, "don't pass validation"),
    "augment": ({"x": generator(), "augment": lambda x, rng: x}, ValueError, "don't pass augment"),  # noqa: ARG005
    "steps_per_epoch of arrays": ({"x": X, "y": Y, "steps_per_epoch": 3}, ValueError, "not for arrays"),
    "steps_per_epoch of 0": ({"x": generator(), "steps_per_epoch": 0}, ValueError, "steps_per_epoch"),
    "an iterator that is too short": ({"x": iter([]), "steps_per_epoch": 9}, ValueError, "after 0 of the 9"),
    "sizes in one step": ({"x": unequal(), "accumulate": 3}, ValueError, "same number of samples"),
    "dtypes in one step": (
        {"x": [(X, Y), (X.astype(np.float64), Y)], "accumulate": 2}, ValueError, "the same arrays, dtypes",
    ),
    "weights in one step": ({"x": [(X, Y), (X, Y, W)], "accumulate": 2}, ValueError, "the same arrays"),
    "a list of numbers": ({"x": [[1.0, 2.0]]}, TypeError, "y is missing"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    given, error, message = REFUSED[name]
    options = {"epochs": 1, "progress": False, **given}
    learner = trained()
    assert_refused(learner, lambda: learner.fit(**options), error, message)


def test_an_iterator_that_ends_too_early_keeps_finished_epochs() -> None:
    learner = trainer()
    with pytest.raises(ValueError, match="after 1 of the 2 that epoch 3 needs"):
        learner.fit(iter(batched(X, Y)), epochs=9, steps_per_epoch=2, progress=False)
    assert (learner.epochs, learner.steps, len(learner.history["loss"])) == (2, 5, 2)


def test_lbfgs_refuses_batches() -> None:
    learner = bp.Trainer(network(3, in_features=4), "cross_entropy", "lbfgs")
    before = everything(learner)
    with pytest.raises(ValueError, match="LBFGS needs a full batch of arrays"):
        learner.fit(batched(X, Y), epochs=1, progress=False)
    assert everything(learner) == before


def test_a_model_without_sizes_is_built_by_the_first_batch_or_not_at_all() -> None:
    learner = trainer()
    with pytest.raises(ValueError, match=r"x\[0, 0\] is nan"):
        learner.fit([(X * np.nan, Y)], epochs=1, progress=False)
    with pytest.raises(RuntimeError):
        _ = learner.parameters
    learner.fit([(X, Y)], epochs=0, progress=False)
    assert learner.parameters["0.weight"].shape == (4, 8)


# Going on in the middle of an epoch


class Skipping(list[Any]):
    """Jumps, and notes which batches it was asked for."""

    def __init__(self, batches: list[Any]) -> None:
        super().__init__(batches)
        self.asked: list[int] = []

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(super().__iter__()):
            self.asked.append(number)
            yield batch

    def __getitem__(self, number: Any) -> Any:
        self.asked.append(number)
        return super().__getitem__(number)


@pytest.mark.parametrize("position", range(4))
@pytest.mark.parametrize("epoch", [0, 2])
@pytest.mark.parametrize("kind", ["list", "function", "stream", "iterator"])
def test_seek_goes_on_behind_batches_that_were_done(kind: str, epoch: int, position: int) -> None:
    parts = [(X[i : i + 5], Y[i : i + 5]) for i in range(0, 90, 5)]
    streams = kind in ("stream", "iterator")
    limit = 4 if streams else None
    first = epoch * 4 if streams else 0
    source: Any = {"list": parts, "function": lambda: iter(parts), "stream": lambda: iter(parts)}.get(kind)
    source = iter(parts) if source is None else source
    learner = trainer()
    feed = learner._reader.batches("fit", source, True, 1, limit)
    session: Any
    session, _, _ = learner._engine.training("fit", feed, 0, 1, None, (0, True))
    session.begin_epoch(0, True)
    session.begin_epoch(epoch, True)  # as of a run that is resumed
    session.seek(position, session.totals + 1, 2)
    assert (session.position, session.skipped, session.totals[0]) == (position, 2, 1)
    rates = np.full((99, 1), 0.01)
    same = trainer()
    rest = parts[first + position : first + 4] if streams else parts[position:]
    session.run(99, rates)
    assert session.finished
    assert session.position == position + len(rest)
    same.fit(rest, epochs=1, progress=False)
    assert bits(same) == bits(learner)


def test_seek_does_not_read_what_it_can_jump_over() -> None:
    parts = Skipping(batched(X, Y, size=5))
    learner = trainer()
    feed = learner._reader.batches("fit", parts, True)
    session: Any
    session, _, _ = learner._engine.training("fit", feed, 0, 1, None, (0, False))
    session.begin_epoch(0, False)
    session.seek(9, session.totals, 0)
    parts.asked.clear()
    session.run(2, np.full((2, 1), 0.01))
    assert parts.asked == [9, 10]
