"""Random augmentation: a function of each batch, the same whenever a run is repeated or goes on."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import data, nn, optim
from bpcore._native import core
from tests.training.problems import bits, blobs, network
from tests.training.refusal import assert_refused, trained

X, Y = blobs(90)
W = np.random.default_rng(1).random(90).astype(np.float32)


def trainer(seed: int = 0) -> bp.Trainer:
    model = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dropout(0.3), nn.Dense(3))
    return bp.Trainer(model, "cross_entropy", optim.Adam(0.01), metrics=["accuracy"], seed=seed)


def noise(x: Any, rng: np.random.Generator) -> Any:
    return x + rng.normal(size=x.shape).astype(x.dtype)


def swap(x: Any, y: Any, rng: np.random.Generator) -> Any:
    order = rng.permutation(len(x))
    return x[order], y[order]


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("function", [lambda x, rng: x, lambda x, y, rng: (x, y)])  # noqa: ARG005
def test_a_function_that_changes_nothing(function: Any, shuffle: bool, accumulate: int) -> None:
    found = set()
    for augment in (None, function):
        learner = trainer()
        learner.fit(
            X,
            Y,
            epochs=2,
            batch_size=20,
            shuffle=shuffle,
            accumulate=accumulate,
            sample_weight=W,
            validation_split=0.2,
            augment=augment,
            progress=False,
        )
        found.add((bits(learner), *(tuple(learner.history[name]) for name in learner.history)))
    assert len(found) == 1


@pytest.mark.parametrize("function", [noise, swap])
def test_runs_repeat_and_go_on_to_the_bit(function: Any) -> None:
    def run(*epochs: int, seed: int = 0) -> bytes:
        learner = trainer(seed)
        for each in epochs:
            learner.fit(X, Y, epochs=each, batch_size=20, augment=function, progress=False)
        return bits(learner)

    assert run(3) == run(3) == run(1, 2)
    assert run(3) != run(3, seed=1)


def test_every_batch_has_random_numbers_of_its_own() -> None:
    drawn: list[float] = []

    def draws(x: Any, rng: np.random.Generator) -> Any:
        drawn.append(float(rng.random()))
        return x

    for _ in range(2):
        trainer().fit(X, Y, epochs=2, batch_size=30, augment=draws, progress=False)
    assert drawn[:6] == drawn[6:]
    assert len(set(drawn)) == 6


def test_only_training_data_is_changed_and_the_arrays_are_not() -> None:
    def ruin(x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001
        x[...] = 0
        return x

    before = X.copy()
    for shuffle in (False, True):
        learner = trainer()
        learner.fit(X, Y, epochs=1, shuffle=shuffle, validation_data=(X, Y), augment=ruin, progress=False)
        assert learner.history["val_loss"][-1] == learner.evaluate(X, Y)["loss"]
    np.testing.assert_array_equal(X, before)


def test_integers_stay_integers_and_a_sample_may_change_its_shape() -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 12, 12), dtype=np.uint8)
    seen = set()

    def crop(x: Any, rng: np.random.Generator) -> Any:
        seen.add((str(x.dtype), x.shape))
        top, left = rng.integers(0, 5, 2)
        return x[:, top : top + 8, left : left + 8]

    model = nn.Sequential(nn.Flatten(), nn.Dense(3))
    learner = bp.Trainer(model, "cross_entropy", optim.SGD(1e-5))
    learner.fit(images, np.arange(40) % 3, epochs=1, batch_size=16, augment=crop, progress=False)
    assert seen == {("uint8", (16, 12, 12)), ("uint8", (8, 12, 12))}
    assert learner.parameters["1.weight"].shape == (64, 3)


def test_several_inputs_and_targets_keep_their_structure() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Dense(3), nn.Dense(1)

        def __call__(self, left: Any, right: Any) -> Any:
            return {"kind": self.a(left), "size": self.b(right)}

    def check(x: Any, y: Any, rng: np.random.Generator) -> Any:
        assert sorted(x) == ["left", "right"]
        assert sorted(y) == ["kind", "size"]
        return {"right": x["right"], "left": noise(x["left"], rng)}, y

    found = set()
    for augment in (check, check, None):
        learner = bp.Trainer(Two(), {"kind": "cross_entropy", "size": "mse"}, optim.SGD(0.1))
        x, y = {"right": X, "left": X}, {"kind": Y, "size": W}
        learner.fit(x, y, epochs=1, augment=augment, progress=False)
        found.add(bits(learner))
    assert len(found) == 2
    learner = bp.Trainer(Two(), objective=lambda model, left, right: model(left, right)["size"].mean())
    learner.fit((X, X), epochs=1, augment=lambda x, rng: (x[0], noise(x[1], rng)), progress=False)


def test_samples_that_are_chosen_by_class() -> None:
    seen: list[Any] = []

    def look(x: Any, y: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001
        seen.extend(y.tolist())
        return x, y

    learner = trainer()
    learner.fit(X, Y, epochs=1, validation_split=0.2, stratify=True, augment=look, progress=False)
    assert [seen.count(i) for i in range(3)] == [24, 24, 24]


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no function": (3, TypeError, "augment must be a function of (x, rng), got int"),
    "one argument": (lambda x: x, TypeError, "must be a function of (x, rng) or of (x, y, rng)"),
    "four arguments": (lambda a, b, c, d: a, TypeError, "must be a function of (x, rng) or"),  # noqa: ARG005
    "nothing returned": (lambda x, rng: None, TypeError, "expected numbers, got NoneType"),  # noqa: ARG005
    "x alone returned": (lambda x, y, rng: x, TypeError, "must return (x, y), got ndarray"),  # noqa: ARG005
    "fewer samples": (lambda x, rng: x[1:], ValueError, "x has 39 samples, y has 40"),  # noqa: ARG005
    "NaN": (lambda x, rng: x * np.nan, ValueError, "x[0, 0] is nan"),  # noqa: ARG005
    "labels": (lambda x, y, rng: (x, y + 1), ValueError, "cross_entropy takes integers"),  # noqa: ARG005
    "features": (lambda x, rng: x[:, :3], ValueError, "expected input of shape (..., 4)"),  # noqa: ARG005
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name: str) -> None:
    function, error, message = REFUSED[name]
    learner = trained()
    x, y = X[:40], Y[:40]
    call = lambda: learner.fit(x, y, epochs=1, batch_size=40, augment=function, progress=False)  # noqa: E731
    assert_refused(learner, call, error, message)


def test_an_objective_has_no_target_to_change() -> None:
    learner = bp.Trainer(network(2), objective=lambda model, x: model(x).mean())
    with pytest.raises(TypeError, match=r"of \(x, rng\), as there is no target"):
        learner.fit(X, epochs=1, augment=swap, progress=False)


def test_what_the_function_raises_is_raised_as_it_is() -> None:
    def broken(x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001
        if len(x) < 20:
            raise LookupError("here")
        return x

    learner = trained()
    steps = learner.steps
    with pytest.raises(LookupError, match="^here$"):
        learner.fit(X, Y, epochs=1, batch_size=20, augment=broken, progress=False)
    assert learner.steps == steps + 4
    learner.fit(X, Y, epochs=1, progress=False)


def test_arrays_without_augmentation_never_pass_through_python() -> None:
    def calls(rows: int) -> int:
        """Calls of functions in an epoch of batches of one row."""
        counted = 0

        def count(frame: Any, event: str, argument: Any) -> None:  # noqa: ARG001
            nonlocal counted
            counted += event in ("call", "c_call")

        x, y = np.zeros((rows, 4), np.float32), np.zeros(rows, np.int64)
        learner = trained()
        sys.setprofile(count)
        try:
            learner.fit(x, y, epochs=1, batch_size=1, progress=False)
        finally:
            sys.setprofile(None)
        return counted

    few, many = calls(10), calls(10_000)
    assert many - few < 5_000


# Ready ones


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize("shape", [(50, 6, 7), (50, 6, 7, 3)])
def test_random_flip(shape: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(0).integers(0, 255, shape).astype(dtype)
    y = data.random_flip(x, np.random.default_rng(1))
    assert y.dtype == x.dtype
    flipped = np.array([np.array_equal(b, a[:, ::-1]) for a, b in zip(x, y, strict=True)])
    kept = np.array([np.array_equal(b, a) for a, b in zip(x, y, strict=True)])
    assert (flipped ^ kept).all()
    assert 10 < flipped.sum() < 40
    np.testing.assert_array_equal(data.random_flip(x, np.random.default_rng(1), probability=0), x)
    always = data.random_flip(x, np.random.default_rng(1), probability=1)
    np.testing.assert_array_equal(always, x[:, :, ::-1])


@pytest.mark.parametrize("shape", [(400, 5, 6), (400, 5, 6, 2)])
def test_random_shift(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(1, 255, shape, dtype=np.uint8)
    y = data.random_shift(x, np.random.default_rng(1), most=2)
    assert (y.dtype, y.shape) == (x.dtype, x.shape)
    found = set()
    for a, b in zip(x, y, strict=True):
        for down in range(-2, 3):
            for right in range(-2, 3):
                moved = np.zeros_like(a)
                to = slice(max(down, 0), 5 + min(down, 0)), slice(max(right, 0), 6 + min(right, 0))
                of = slice(max(-down, 0), 5 + min(-down, 0)), slice(max(-right, 0), 6 + min(-right, 0))
                moved[to] = a[of]
                if np.array_equal(moved, b):
                    found.add((down, right))
                    break
            else:
                continue
            break
        else:
            raise AssertionError
    assert len(found) == 25
    np.testing.assert_array_equal(data.random_shift(x, np.random.default_rng(1), most=0), x)


def test_compose() -> None:
    x = np.random.default_rng(0).normal(size=(8, 4, 4, 1)).astype(np.float32)
    shift = functools.partial(data.random_shift, most=1)
    both: Callable[..., Any] = data.compose(data.random_flip, shift)
    rng, same = np.random.default_rng(2), np.random.default_rng(2)
    np.testing.assert_array_equal(both(x, rng), shift(data.random_flip(x, same), same))
    model = nn.Sequential(nn.Flatten(), nn.Dense(2))
    bp.Trainer(model, "cross_entropy").fit(x, np.arange(8) % 2, epochs=1, augment=both, progress=False)


@pytest.mark.parametrize("function", [data.random_flip, data.random_shift])
def test_ready_ones_take_images(function: Any) -> None:
    rng = np.random.default_rng(0)
    for x in (np.zeros((3, 4)), np.zeros((1, 2, 3, 4, 5)), [[[1.0]]]):
        with pytest.raises(ValueError, match="x must be images"):
            function(x, rng)
    with pytest.raises(ValueError, match="probability"):
        data.random_flip(np.zeros((1, 2, 2)), rng, probability=1.5)
    with pytest.raises(ValueError, match="most"):
        data.random_shift(np.zeros((1, 2, 2)), rng, most=-1)


def test_batches_are_those_that_a_native_session_gathers() -> None:
    seen: list[Any] = []

    def look(x: Any, rng: np.random.Generator) -> Any:  # noqa: ARG001
        seen.append(x)
        return x

    trainer(5).fit(X, Y, epochs=1, batch_size=40, augment=look, progress=False)
    np.testing.assert_array_equal(np.concatenate(seen), X[core.permutation(90, 5, 0)])
