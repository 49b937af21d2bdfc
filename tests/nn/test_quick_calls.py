"""The short way that repeated calls and predictions of one shape take gives what the long way gives."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.basics import tree
from tests.support.draw import normal


def _model() -> nn.Sequential:
    model = nn.Sequential(nn.Dense(8, activation="tanh"), nn.Dense(3))
    model.build(4)
    return model


def _trainer(model: nn.Module) -> bp.Trainer:
    return bp.Trainer(model, "mse", optim.SGD(0.1))


X = normal((5, 4)).astype("float32")


def _calls(model: nn.Module) -> list[Any]:
    """The ways to call a model, each warmed up so that the next call of its kind is a short one."""
    trainer = _trainer(model)
    ways = [model, trainer.predict]
    for way in ways:
        way(X)
        way(X)
    return ways


def _expected(model: nn.Module, x: Any = X) -> Any:
    """By the long way, which the first call of a copy takes."""
    return model.copy()(x)


def test_repeated_calls_give_the_same_bits_in_arrays_of_their_own() -> None:
    model = _model()
    want = _expected(model)
    for way in _calls(model):
        first, second = way(X), way(X)
        np.testing.assert_array_equal(first, want)
        np.testing.assert_array_equal(second, want)
        assert not np.shares_memory(first, second)


def test_other_inputs_take_the_long_way() -> None:
    model = _model()
    for way in _calls(model):
        wide = np.zeros((5, 8), "float32")
        wide[:, ::2] = X
        want = way(X)
        for same in (X.astype("float64"), wide[:, ::2], np.asfortranarray(X), X.tolist(), X.astype(">f4")):
            np.testing.assert_allclose(way(same), want, rtol=1e-6)
        np.testing.assert_array_equal(way(X[:2]), want[:2])
        np.testing.assert_array_equal(way(X), want)
        with pytest.raises(ValueError, match="7 features instead of 4"):
            way(np.zeros((5, 7), "float32"))


def test_predict_refuses_nan_a_second_time() -> None:
    trainer = _trainer(_model())
    wrong = X.copy()
    wrong[2, 1] = np.nan
    trainer.predict(X)
    with pytest.raises(ValueError, match=r"x\[2, 1\] is nan"):
        trainer.predict(wrong)
    assert np.isnan(trainer.predict(wrong, check_finite=False)[2]).all()
    assert np.isnan(trainer.predict(wrong, check_finite=False)[2]).all()


@pytest.mark.parametrize("batch_size", [0, -1, True, 2.5, None])
def test_predict_checks_the_batch_size_a_second_time(batch_size: Any) -> None:
    trainer = _trainer(_model())
    trainer.predict(X)
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        trainer.predict(X, batch_size=batch_size)


def test_small_batches_have_the_bits_of_large_ones() -> None:
    trainer = _trainer(_model())
    want = trainer.predict(X)
    np.testing.assert_array_equal(trainer.predict(X, batch_size=2), want)
    np.testing.assert_array_equal(trainer.predict(X), want)


def test_floats_of_the_other_width_have_the_bits_of_the_long_way() -> None:
    wide = normal((5, 4), key=1)
    for dtype, x in (("float32", wide), ("float64", wide.astype("float32"))):
        model = _model()
        trainer = bp.Trainer(model, "mse", dtype=dtype)
        for way in (model, trainer.predict):
            want = way(x.tolist())
            way(x)
            got = way(x)
            assert got.dtype == dtype
            np.testing.assert_array_equal(got, want)


def test_what_overflows_a_second_time_is_said_and_nan_goes_through() -> None:
    model = _model()
    x = normal((5, 4))
    calls = _calls(model)
    for way in calls:
        way(x)
        wrong = x.copy()
        wrong[3, 2] = 1e300
        with pytest.raises(ValueError, match="overflow"):
            way(wrong)
    wrong[3, 2] = np.inf
    assert np.isfinite(model(wrong)[:3]).all()
    wrong[3, 2] = np.nan
    assert np.isnan(model(wrong)[3]).all()
    assert np.isnan(calls[1](wrong, check_finite=False)[3]).all()


def test_a_model_without_parameters_keeps_the_width() -> None:
    model = nn.Sequential(nn.ReLU())
    for x in (X, X.astype("float64")):
        for _ in range(2):
            assert model(x).dtype == x.dtype


class Arranged(nn.Module):
    """Two arrays in a structure."""

    def __init__(self, arrange: Any) -> None:
        self.first, self.second = nn.Dense(3), nn.Dense(2)
        self.arrange = arrange

    def __call__(self, x: Any) -> Any:
        return self.arrange(self.first(x), self.second(x))


class Pair(NamedTuple):
    first: Any
    second: Any


@pytest.mark.parametrize(
    "arrange",
    [
        lambda a, b: (a, b),
        lambda a, b: (b, a),
        lambda a, b: [a, b],
        lambda _, b: [b],
        lambda a, _: (a,),
        lambda a, b: {"a": a, "b": b},
        lambda a, b: (a, {"b": [b, a]}),
        Pair,
    ],
    ids=["tuple", "swapped", "list", "lone list", "lone tuple", "dict", "nested", "named tuple"],
)
def test_structures_of_results_are_the_same_again(arrange: Any) -> None:
    model = Arranged(arrange)
    want = model(X)
    leaves = tree.leaves(want)
    for way in (model, _trainer(model).predict):
        for _ in range(3):
            got = way(X)
            assert type(got) is type(want)
            assert str(tree.rebuild(got, np.shape)) == str(tree.rebuild(want, np.shape))
            for one, other in zip(tree.leaves(got), leaves, strict=True):
                np.testing.assert_array_equal(one, other)


def test_a_constant_among_the_results_takes_the_long_way() -> None:
    constant = np.arange(5.0)
    model = Arranged(lambda a, _: (a, constant))
    trainer = _trainer(model)
    for _ in range(3):
        got = trainer.predict(X)[1]
        np.testing.assert_array_equal(got, constant)
        assert not np.shares_memory(got, constant)


class Sum(nn.Module):
    """Two inputs."""

    def __init__(self) -> None:
        self.layer = nn.Dense(3)

    def __call__(self, x: Any, y: Any) -> Any:
        return self.layer(x) + y


def test_several_inputs_in_turns_of_both_kinds() -> None:
    model = Sum()
    trainer = _trainer(model)
    y = normal((5, 3), key=2).astype("float32")
    want = model(X.tolist(), y.tolist())
    for _ in range(3):
        np.testing.assert_array_equal(model(X, y), want)
        np.testing.assert_array_equal(trainer.predict((X, y)), want)
        np.testing.assert_array_equal(trainer.predict({"y": y, "x": X}), want)
        with pytest.raises(ValueError, match="samples"):
            trainer.predict((X, y[:4]))


def test_many_shapes_in_turns() -> None:
    model = _model()
    x = normal((20, 4)).astype("float32")
    want = _expected(model, x)
    for way in _calls(model):
        for _ in range(2):
            for rows in (*range(1, 21), 3, 2, 3, 20, 1):
                np.testing.assert_array_equal(way(x[:rows]), want[:rows])


def test_the_short_way_is_taken() -> None:
    model = Arranged(lambda a, b: (a, b))
    for x in (X, X[:2], X.astype("float64")):
        model(x)
    quick = model._bpcore.quick
    assert quick is not None
    for x in (X, X[:2], X.astype("float64")):
        assert quick((x,), False) is not None
    assert quick((X[:3],), False) is None
    model.arrange = lambda a, b: (b, a)
    assert quick((X,), False) is None


def test_new_values_are_seen() -> None:
    model = _model()
    calls = _calls(model)
    model.parameters["1.bias"][...] = 7
    for way in calls:
        np.testing.assert_array_equal(way(X), _expected(model))
        assert way(X).mean() > 3
    trainer = _trainer(model)
    trainer.fit(X, np.zeros((5, 3)), epochs=2, progress=False)
    for way in calls:
        np.testing.assert_array_equal(way(X), _expected(model))


class Scaled(nn.Module):
    """A model with a number and a list that may change."""

    def __init__(self) -> None:
        self.scale = 1.0
        self.parts: list[nn.Module] = [nn.Dense(4, in_features=4)]
        self.named = {"last": nn.Dense(4, in_features=4)}

    def __call__(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return self.named["last"](x) * self.scale


def test_attributes_set_are_seen() -> None:
    model = Scaled()
    calls = _calls(model)
    before = [way(X) for way in calls]
    model.scale = 2.0
    for way, old in zip(calls, before, strict=True):
        np.testing.assert_array_equal(way(X), 2 * old)


def test_parts_put_into_lists_and_dicts_are_seen() -> None:
    model = Scaled()
    model(X)
    once = model(X)
    model.parts.append(model.parts[0])
    assert not np.array_equal(model(X), once)
    model.parts.pop()
    np.testing.assert_array_equal(model(X), once)
    model.named["last"] = model.parts[0]
    assert not np.array_equal(model(X), once)


def test_a_trainer_whose_model_moved_says_so_a_second_time() -> None:
    model = _model()
    trainer = _trainer(model)
    trainer.predict(X)
    trainer.predict(X)
    whole = nn.Sequential(model, nn.Dense(2))
    whole.build(4)
    whole(X)
    with pytest.raises(RuntimeError, match="lie elsewhere"):
        trainer.predict(X)
    np.testing.assert_array_equal(model(X), _expected(model))


class Lookup(nn.Module):
    """Rows of a table by integers."""

    def __init__(self) -> None:
        self.table = nn.Parameter((6, 2), init="glorot_normal")

    def __call__(self, index: Any) -> Any:
        return ops.gather(self.table, index)


def test_an_index_out_of_range_is_named_a_second_time() -> None:
    model = Lookup()
    good = np.arange(5)
    model(good)
    model(good)
    with pytest.raises(ValueError, match=r"^Lookup: input\[4\] is 6, but gather takes integers from 0 to 5$"):
        model(good + 2)
    assert model(good).shape == (5, 2)


def test_calls_of_many_threads_are_right() -> None:
    model = _model()
    calls = _calls(model)
    inputs = [normal((5, 4), key=i).astype("float32") for i in range(8)]
    want = [_expected(model, x) for x in inputs]

    def work(i: int) -> bool:
        return all(np.array_equal(way(inputs[i]), want[i]) for _ in range(200) for way in calls)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_many_shapes_of_many_threads_are_right() -> None:
    model = _model()
    x = normal((20, 4)).astype("float32")
    want = _expected(model, x)
    predict = _trainer(model).predict

    def work(i: int) -> bool:
        rows = [1 + (i * each) % 20 for each in range(1, 100)]
        return all(np.array_equal(way(x[:n]), want[:n]) for n in rows for way in (model, predict))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_two_models_and_two_shapes_in_turns() -> None:
    one, other = _model(), Scaled()
    want = one(X), other(X), one(X[:1]), other(X[:1])
    for _ in range(3):
        got = one(X), other(X), one(X[:1]), other(X[:1])
        for each, expected in zip(got, want, strict=True):
            np.testing.assert_array_equal(each, expected)


def test_inside_of_training_mode_the_long_way_is_taken() -> None:
    model = _model()
    want = model(X)
    model(X)
    with bp.training(3):
        np.testing.assert_array_equal(model(X), want)
    np.testing.assert_array_equal(model(X), want)
