"""nn.Module: finding parameters, when they exist, calls on arrays."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from tests.nn.models import Plain, Tied, sequential

# Finding parameters


def test_parameters_are_found_in_attributes_lists_and_dicts_in_order_of_definition() -> None:
    assert {name: value.shape for name, value in Plain().parameters.items()} == {
        "first.weight": (2, 3),
        "first.bias": (3,),
        "blocks.0.weight": (3, 3),
        "blocks.0.bias": (3,),
        "blocks.1.0.weight": (3, 3),
        "heads.a.weight": (3, 1),
        "heads.a.bias": (1,),
        "heads.b.0": (3, 2),
        "scale": (),
    }
    assert [name for name, _ in Plain().named_modules()] == [
        "", "first", "blocks.0", "blocks.1.0", "heads.a"
    ]  # fmt: skip


def test_a_weight_used_in_two_places_is_stored_once() -> None:
    model = Tied()
    assert list(model.parameters) == ["encoder.weight"]
    x = np.random.default_rng(0).normal(size=(6, 4))
    trainer = bp.Trainer(
        model, objective=lambda m, v: bp.losses.mse(m(v), v), optimizer=optim.SGD(0.1), dtype="float64"
    )
    weight = trainer.parameters["encoder.weight"].copy()
    difference = x @ weight @ weight.T - x
    slope = 2 / difference.size * (x.T @ difference @ weight + difference.T @ x @ weight)
    np.testing.assert_allclose(trainer.gradients(x)["encoder.weight"], slope, rtol=1e-10)
    trainer.step(x)
    np.testing.assert_allclose(model.parameters["encoder.weight"], weight - 0.1 * slope, rtol=1e-10)
    assert "8 parameters" in (model.summary(show=False) or "")


def test_a_layer_used_twice_is_stored_once() -> None:
    layer = nn.Dense(4, "tanh", in_features=4)
    model = nn.Sequential(layer, layer)
    assert list(model.parameters) == ["0.weight", "0.bias"]
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(model(x), layer(layer(x)))


def test_parts_set_after_making_the_model_are_found() -> None:
    model = nn.Sequential(nn.Dense(3, in_features=2))
    model.extra = nn.Parameter(4)  # type: ignore[attr-defined]
    assert list(model.parameters) == ["0.weight", "0.bias", "extra"]


# When they exist


def test_asking_for_parameters_of_unknown_size_says_what_to_do() -> None:
    model = sequential()
    with pytest.raises(
        RuntimeError, match=r"sizes of 0.weight, 1.weight are not known yet.*model.build\(input_shape\)"
    ):
        model.parameters  # noqa: B018


@pytest.mark.parametrize(
    "exist",
    [
        lambda model: model.build(4),
        lambda model: model.build((None, 4)),
        lambda model: model.build((7, 4)),
        lambda model: model(np.zeros((2, 4), np.float32)),
        lambda model: bp.Trainer(model, "cross_entropy").step(np.zeros((2, 4)), [0, 1]),
        lambda model: bp.Trainer(model, "cross_entropy").predict(np.zeros((2, 4))),
        lambda model: bp.Trainer(model, "cross_entropy").evaluate(np.zeros((2, 4)), [0, 1]),
    ],
    ids=["build", "build batch", "build size", "call", "step", "predict", "evaluate"],
)
def test_parameters_exist_after_build_or_first_use(exist: Callable[[nn.Module], Any]) -> None:
    model = sequential()
    exist(model)
    shapes = [value.shape for value in model.parameters.values()]
    assert shapes == [(4, 5), (5,), (5, 3), (3,)]
    with pytest.raises(ValueError, match=r"layer '0': expected input of shape \(..., 4\), got \(2, 6\)"):
        model(np.zeros((2, 6), np.float32))


def test_parameters_exist_at_once_if_every_size_is_given() -> None:
    model = nn.Sequential(nn.Dense(5, in_features=4), nn.Dense(3, in_features=5))
    assert len(model.parameters) == 4


def test_building_again_raises_and_changes_nothing() -> None:
    model = sequential()
    model.build(4, seed=1)
    before = model.parameters["0.weight"].copy()
    with pytest.raises(RuntimeError, match="exist already"):
        model.build(4, seed=2)
    np.testing.assert_array_equal(model.parameters["0.weight"], before)


@pytest.mark.parametrize(
    ("shape", "error"),
    [
        ((None, 0), ValueError),
        ((None,), ValueError),
        (-4, ValueError),
        ((), TypeError),
        ("4", TypeError),
        ((None, 4.0), TypeError),
    ],
)
def test_build_refuses_shapes_that_are_none(shape: Any, error: type[Exception]) -> None:
    model = sequential()
    with pytest.raises(error):
        model.build(shape)
    model.build(4)
    assert model.parameters["0.weight"].shape == (4, 5)


def test_a_build_that_fails_leaves_the_sizes_unknown() -> None:
    model = nn.Sequential(nn.Dense(5), nn.Dense(3, in_features=6))
    with pytest.raises(ValueError, match="layer '1'"):
        model.build(4)
    assert model[0].in_features is None  # type: ignore[attr-defined]


def test_build_of_several_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.left, self.right = nn.Dense(3), nn.Dense(3)

        def __call__(self, a: Any, b: Any) -> Any:
            return self.left(a) + self.right(b)

    model = Two()
    model.build([(None, 2), (None, 5)])
    assert [value.shape for value in model.parameters.values()] == [(2, 3), (3,), (5, 3), (3,)]


# Calls on arrays


def test_a_call_on_arrays_is_an_array_computed_with_todays_values() -> None:
    model = sequential()
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    first = model(x)
    w0, b0, w1, b1 = model.parameters.values()
    assert type(first) is np.ndarray
    np.testing.assert_allclose(first, np.maximum(x @ w0 + b0, 0) @ w1 + b1, rtol=1e-5, atol=1e-6)
    w1[...] = 0
    b1[...] = [1, 2, 3]
    np.testing.assert_array_equal(model(x), np.tile([1, 2, 3], (6, 1)))


def test_nested_results_keep_their_structure() -> None:
    model = Plain()
    result = model(np.ones((5, 2), np.float32))
    assert list(result) == ["a", "b"]
    assert (result["a"].shape, result["b"].shape) == ((5, 1), (5, 2))


def test_a_call_takes_lists_integers_and_other_floats() -> None:
    model = sequential()
    x = np.arange(8).reshape(2, 4)
    expected = model(x.astype(np.float32))
    for same in (x, x.tolist(), x.astype(np.float64), x.astype(np.uint8), np.asfortranarray(x)):
        np.testing.assert_array_equal(model(same), expected)


def test_options_of_a_call_are_part_of_what_is_traced() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.dense = nn.Dense(2, in_features=2)

        def __call__(self, x: Any, factor: float = 1.0, *, negative: bool = False) -> Any:
            y = self.dense(x) * factor
            return -y if negative else y

    model = Scaled()
    x = np.ones((1, 2), np.float32)
    once = model(x)
    np.testing.assert_allclose(model(x, 3.0), 3 * once, rtol=1e-6)
    np.testing.assert_allclose(model(x, 2.0, negative=True), -2 * once, rtol=1e-6)
    np.testing.assert_array_equal(model(x, 1), once)
    np.testing.assert_array_equal(model(x, factor=1.0), once)


def test_submodules_can_be_called_on_their_own() -> None:
    model = sequential()
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(model[1](model[0](x)), model(x))
    np.testing.assert_array_equal(model[:1](x), model[0](x))
    assert model[:1].parameters["0.weight"].ctypes.data == model.parameters["0.weight"].ctypes.data


def test_changing_shapes_all_the_time_warns_once() -> None:
    model = sequential()
    model.build(4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for rows in range(1, 80):
            model(np.zeros((rows, 4), np.float32))
    assert [str(each.message).partition(";")[0] for each in caught] == [
        "Sequential: input shapes keep changing, and each new one costs a new plan"
    ]
    assert caught[0].category is RuntimeWarning
    assert caught[0].filename == __file__


def test_a_few_shapes_are_no_reason_to_warn() -> None:
    model = sequential()
    for _ in range(20):
        for rows in (1, 2, 3, 4):
            model(np.zeros((rows, 4), np.float32))


def test_a_model_and_its_plans_die_together() -> None:
    model = sequential()
    model(np.zeros((2, 4), np.float32))
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_a_module_without_a_call_says_so() -> None:
    class Nothing(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Nothing must define __call__"):
        Nothing()(np.zeros(3))


def test_states_are_not_parameters_and_may_be_read_and_written_outside() -> None:
    model = Plain()
    assert "count" not in model.parameters
    assert np.asarray(model.count).tolist() == [0, 0]
    model.count.value[...] = [1, 2]
    assert np.asarray(model.count).tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="only inside of a traced function"):
        model.count.update(np.zeros(2))


# What changes after a call


def test_parts_and_attributes_that_are_set_count_from_the_next_call_on() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            self.head, self.scale = nn.Dense(3, in_features=4), 1.0
            self.shifts = [nn.Parameter((), 0.0)]

        def __call__(self, x: Any) -> Any:
            y = self.head(x) * self.scale
            for shift in self.shifts:
                y = y + shift
            return y

    model = Scaled()
    x = np.ones((2, 4), np.float32)
    once = model(x)
    model.scale = 2.0
    np.testing.assert_array_equal(model(x), 2 * once)
    model.head.activation = bp.ops.relu
    np.testing.assert_array_equal(model(x), 2 * np.maximum(once, 0))
    model.shifts[0].value[...] = 5
    np.testing.assert_array_equal(model(x), 2 * np.maximum(once, 0) + 5)
    model.shifts.pop()
    np.testing.assert_array_equal(model(x), 2 * np.maximum(once, 0))
    model.head = nn.Dense(6)
    assert model(x).shape == (2, 6)
    del model.scale
    with pytest.raises(AttributeError, match="scale"):
        model(x)


def test_attributes_that_a_trace_sets_cost_no_new_plan() -> None:
    class Counting(nn.Module):
        traced = 0

        def __call__(self, x: Any) -> Any:
            self.traced += 1
            return bp.ops.tanh(x)

    model = Counting()
    for _ in range(5):
        model(np.zeros(3))
    assert model.traced == 1


def test_a_build_that_fails_while_values_are_drawn_leaves_the_sizes_unknown() -> None:
    model = nn.Sequential(nn.Dense(3, kernel_init=lambda *_: np.zeros(7)))
    with pytest.raises(ValueError, match="its initializer gave values"):
        model.build(4)
    assert model[0].in_features is None  # type: ignore[attr-defined]


class _Scaled(nn.Module):
    def __init__(self) -> None:
        self.layer = nn.Dense(2)

    def __call__(self, x: Any, scale: float) -> Any:
        return self.layer(x) * scale


def test_settings_by_name_are_there_when_sizes_are_found_inside_of_a_function() -> None:
    slope = bp.grad(lambda x: bp.ops.sum(_Scaled()(x, scale=2.0)))
    assert slope(np.ones((4, 3))).shape == (4, 3)
