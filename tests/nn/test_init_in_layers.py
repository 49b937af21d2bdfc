"""Initializers as they are given: names, numbers, functions; what layers make of them; bad ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bpcore import nn
from bpcore.nn import init

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("given", "value"), [("zeros", 0.0), ("ones", 1.0), (0.25, 0.25), (3, 3.0), (init.Constant(-2), -2.0)]
)
def test_constants(given: Any, value: float) -> None:
    assert (init.resolve(given)((3, 2), 0, 0) == value).all()


@pytest.mark.parametrize("name", sorted(init._NAMED))
def test_a_name_is_the_class_with_its_defaults(name: str) -> None:
    by_class = getattr(init, "".join(part.title() for part in name.split("_")))()
    assert repr(init.resolve(name)) == repr(by_class)
    assert init.resolve(name)((4, 3), 1, 2).tobytes() == by_class((4, 3), 1, 2).tobytes()


@pytest.mark.parametrize(
    "text",
    [
        "Constant(value=0.25)",
        "Zeros()",
        "GlorotUniform(gain=1.5)",
        "HeNormal(negative_slope=0.1, mode='fan_out')",
        "LecunNormal()",
        "Uniform(low=-0.5, high=0.5)",
        "Normal(mean=0.0, std=0.02)",
        "TruncatedNormal(mean=1.0, std=0.5, a=0.0, b=2.0)",
        "Orthogonal(gain=2.0)",
        "Identity(gain=1.0)",
    ],
)
def test_repr_shows_the_settings_and_makes_it_again(text: str) -> None:
    assert repr(eval(f"init.{text}")) == text


# Functions


def keyed(shape: tuple[int, ...], seed: int, stream: int) -> np.ndarray:
    return np.full(shape, seed + (stream % 7) / 8)


def keyed_with_defaults(shape: tuple[int, ...], seed: int = 0, stream: int = 0) -> np.ndarray:
    return keyed(shape, seed, stream)


def keyed_by_any(*arguments: Any) -> np.ndarray:
    return keyed(*arguments)


class Keyed:
    def __call__(self, size: tuple[int, ...], one: int, two: int) -> np.ndarray:
        return keyed(size, one, two)


@pytest.mark.parametrize(
    "function", [keyed, keyed_with_defaults, keyed_by_any, Keyed(), lambda s, a, b: keyed(s, a, b)]
)
def test_a_function_of_shape_seed_and_stream(function: Callable[..., Any]) -> None:
    np.testing.assert_array_equal(init.resolve(function)((2, 3), 5, 9), keyed((2, 3), 5, 9))
    assert init.resolve(function) is function


@pytest.mark.parametrize(
    "function",
    [
        np.ones,  # three parameters, but two of them are NumPy's own
        lambda shape: np.ones(shape),
        lambda shape, value=1.0: np.full(shape, value),
        functools.partial(np.full, fill_value=1.0),
        lambda shape: [[1, 1, 1], [1, 1, 1]],  # noqa: ARG005
    ],
)
def test_a_function_of_the_shape_alone(function: Callable[..., Any]) -> None:
    layer = nn.Dense(3, in_features=2, kernel_init=function)
    assert (layer.parameters["weight"] == 1).all()
    assert layer.parameters["weight"].dtype == np.float32


@pytest.mark.parametrize(
    ("function", "takes"),
    [
        (lambda: np.zeros(3), "<lambda> takes ()"),
        (lambda shape, seed: np.zeros(shape), "<lambda> takes (shape, seed)"),  # noqa: ARG005
        (lambda a, b, c, d: np.zeros(a), "<lambda> takes (a, b, c, d)"),  # noqa: ARG005
        (lambda shape, *, seed: np.zeros(shape), "<lambda> takes (shape, *, seed)"),  # noqa: ARG005
    ],
)
def test_a_function_of_other_arguments_is_an_error(function: Callable[..., Any], takes: str) -> None:
    with pytest.raises(TypeError, match=r"takes \(shape, seed, stream\), or \(shape\) alone") as caught:
        nn.Dense(3, kernel_init=function)
    assert takes in str(caught.value)


def test_a_callable_that_hides_its_parameters_is_an_error() -> None:
    class Hidden:
        __signature__ = "none"

        def __call__(self, shape: tuple[int, ...]) -> np.ndarray:
            return np.zeros(shape)

    with pytest.raises(TypeError, match="parameters can't be found out"):
        init.resolve(Hidden())


@pytest.mark.parametrize(
    ("values", "error", "fragment"),
    [
        (np.zeros(3), ValueError, "its initializer gave values of shape (3,)"),
        (0.0, ValueError, "its initializer gave values of shape ()"),
        (np.zeros((4, 2)), ValueError, "gave values of shape (4, 2)"),
        (np.array([[1, 2, 3, 4], [5, 6, NAN, 8]]), ValueError, "gave nan at [1, 2]"),
        (np.array([[1, 2, 3, INF], [5, 6, 7, 8]]), ValueError, "gave inf at [0, 3]"),
        (np.full((2, 4), 1e300), ValueError, "gave 1e+300 at [0, 0], which overflows float32"),
        (np.full((2, 4), 1j), TypeError, "expected numbers, got an array of dtype complex128"),
        (np.full((2, 4), "a"), TypeError, "expected numbers"),
        (None, TypeError, "expected numbers"),
    ],
)
def test_what_an_initializer_gives_is_checked(values: Any, error: type[Exception], fragment: str) -> None:
    model = nn.Sequential(nn.Dense(2, in_features=2), nn.Dense(4, kernel_init=lambda shape: values))  # noqa: ARG005
    with pytest.raises(error) as caught:
        model.build(2)
    assert "Parameter '1.weight' of shape (2, 4): its initializer" in str(caught.value)
    assert fragment in str(caught.value)
    assert all(variable.storage is None for _, variable in model.named_variables())


def test_a_state_may_begin_with_infinity_but_not_with_nan() -> None:
    class Lowest(nn.Module):
        def __init__(self, start: Any) -> None:
            self.lowest = nn.State(3, start)

        def __call__(self, x: Any) -> Any:
            return x

    model = Lowest(INF)
    model.build(3)
    assert np.isposinf(model.lowest.value).all()
    for start, fragment in (
        (lambda shape: np.full(shape, NAN), "gave nan"),
        (1e300, "gave 1e+300 at [0], which overflows float32"),
    ):
        with pytest.raises(ValueError, match="its initializer") as caught:
            Lowest(start).build(3)
        assert fragment in str(caught.value)


# Bad arguments


@pytest.mark.parametrize(
    ("given", "error", "fragment"),
    [
        ("glorot", ValueError, "unknown initializer 'glorot'; did you mean 'glorot_normal'"),
        ([1], TypeError, "a name, a number or a function, got [1]"),
        (None, TypeError, "a name, a number or a function, got None"),
        (True, TypeError, "a name, a number or a function, got True"),
        (NAN, ValueError, "Constant: value must be finite, got nan"),
        (init.HeNormal, TypeError, "HeNormal(), with ()"),
    ],
)
def test_what_is_no_initializer(given: Any, error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        nn.Parameter(3, given)
    assert fragment in str(caught.value)


@pytest.mark.parametrize(
    ("make", "error", "fragment"),
    [
        (lambda: init.Constant(True), TypeError, "Constant: value must be a number, got True"),
        (lambda: init.Constant("0"), TypeError, "Constant: value must be a number, got '0'"),  # type: ignore[arg-type]
        (lambda: init.Uniform(1, -1), ValueError, "low must not be above high, got low=1 and high=-1"),
        (lambda: init.Uniform(NAN, 1), ValueError, "Uniform: low must be finite, got nan"),
        (lambda: init.Uniform(0, INF), ValueError, "Uniform: high must be finite, got inf"),
        (lambda: init.Uniform(-1.5e308, 1.5e308), ValueError, "high - low must be finite, got inf"),
        (lambda: init.Uniform(False, 1), TypeError, "Uniform: low must be a number, got False"),
        (lambda: init.Normal(0, -1), ValueError, "Normal: std must be finite and at least 0, got -1"),
        (lambda: init.Normal(0, NAN), ValueError, "Normal: std must be finite and at least 0, got nan"),
        (lambda: init.Normal(INF), ValueError, "Normal: mean must be finite, got inf"),
        (lambda: init.Normal(0, True), TypeError, "Normal: std must be a number, got True"),
        (lambda: init.TruncatedNormal(0, 0), ValueError, "std must be finite and above 0, got 0"),
        (lambda: init.TruncatedNormal(0, -1), ValueError, "std must be finite and above 0, got -1"),
        (lambda: init.TruncatedNormal(0, 1, 2, 2), ValueError, "a must be below b, got a=2.0 and b=2.0"),
        (lambda: init.TruncatedNormal(0, 1, 3), ValueError, "a must be below b, got a=3.0 and b=2.0"),
        (lambda: init.TruncatedNormal(0, 1, NAN), ValueError, "a must be finite, got nan"),
        (lambda: init.TruncatedNormal(0, 1, b=INF), ValueError, "b must be finite, got inf"),
        (lambda: init.TruncatedNormal(0, 1, 40, 41), ValueError, "too far from the mean 0.0"),
        (lambda: init.TruncatedNormal(0, 1, -90, -80), ValueError, "too far from the mean 0.0"),
        (lambda: init.GlorotUniform(-1), ValueError, "GlorotUniform: gain must be finite and at least 0"),
        (lambda: init.GlorotNormal(NAN), ValueError, "GlorotNormal: gain must be finite"),
        (lambda: init.GlorotNormal(True), TypeError, "GlorotNormal: gain must be a number, got True"),
        (lambda: init.HeUniform(INF), ValueError, "HeUniform: negative_slope must be finite, got inf"),
        (lambda: init.HeNormal("a"), TypeError, "HeNormal: negative_slope must be a number"),  # type: ignore[arg-type]
        (lambda: init.HeNormal(mode="fan"), ValueError, 'mode must be "fan_in" or "fan_out", got \'fan\''),  # type: ignore[arg-type]
        (lambda: init.Orthogonal(NAN), ValueError, "Orthogonal: gain must be finite, got nan"),
        (lambda: init.Orthogonal(None), TypeError, "Orthogonal: gain must be a number, got None"),  # type: ignore[arg-type]
        (lambda: init.Identity(INF), ValueError, "Identity: gain must be finite, got inf"),
        (lambda: init.Identity(10**400), ValueError, "Identity: gain must be finite, got 1000"),
        (lambda: init.Orthogonal()((3,), 0, 0), ValueError, "a shape of two axes or more, got (3,)"),
        (lambda: init.Orthogonal()((), 0, 0), ValueError, "a shape of two axes or more, got ()"),
        (lambda: init.Identity()((3,), 0, 0), ValueError, "a shape of two axes, got (3,)"),
        (lambda: init.Identity()((3, 3, 3), 0, 0), ValueError, "a shape of two axes, got (3, 3, 3)"),
    ],
)
def test_settings_are_checked(make: Callable[[], Any], error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert fragment in str(caught.value)


# In layers


@pytest.mark.parametrize("value", [0, 0.0, 2.5])
def test_a_number_for_a_kernel_is_that_number(value: float) -> None:
    """Also 0, which is not None."""
    assert (nn.Dense(4, in_features=3, kernel_init=value).parameters["weight"] == value).all()


def test_each_layer_has_its_own_initializers() -> None:
    model = nn.Sequential(
        nn.Dense(6, "relu", kernel_init="orthogonal", bias_init=init.Constant(0.5)),
        nn.Dense(6, kernel_init=init.Identity(2.0), bias_init="lecun_uniform"),
    )
    model.build(6, dtype="float64")
    first, second = model.parameters["0.weight"], model.parameters["1.weight"]
    np.testing.assert_allclose(first.T @ first, np.eye(6), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(second, 2 * np.eye(6))
    assert (model.parameters["0.bias"] == 0.5).all()
    assert np.abs(model.parameters["1.bias"]).max() <= np.sqrt(3 / 6)


def test_dense_defaults_to_glorot_uniform_and_to_he_normal_with_relu() -> None:
    model = nn.Sequential(
        nn.Dense(200, "tanh"), nn.Dense(300, "relu"), nn.Dense(300, nn.ReLU()), nn.Dense(100)
    )
    model.build(300)
    weights = [value for name, value in model.parameters.items() if name.endswith("weight")]
    assert np.abs(weights[0]).max() <= np.float32(np.sqrt(6 / 500))
    assert weights[0].var() == pytest.approx(2 / 500, rel=0.03)
    assert weights[1].var() == pytest.approx(2 / 200, rel=0.03)
    assert np.abs(weights[1]).max() > np.sqrt(6 / 200), "normal, not uniform"
    assert weights[2].var() == pytest.approx(2 / 300, rel=0.03)
    assert np.abs(weights[3]).max() <= np.float32(np.sqrt(6 / 400))
    assert not any(value.any() for name, value in model.parameters.items() if name.endswith("bias"))


def _built(seed: int, model: nn.Module, dtype: str = "float32") -> dict[str, np.ndarray]:
    model.build(4, seed=seed, dtype=dtype)
    return model.parameters


def test_values_are_keyed_by_seed_and_name() -> None:
    """So that a layer more elsewhere changes nothing here, and equal layers differ."""
    small = _built(0, nn.Sequential(nn.Dense(4), nn.Dense(4)))
    large = _built(0, nn.Sequential(nn.Dense(4), nn.Dense(4), nn.Dense(4)))
    for name, value in small.items():
        np.testing.assert_array_equal(value, large[name])
    assert (small["0.weight"] != small["1.weight"]).all()
    assert (_built(1, nn.Sequential(nn.Dense(4)))["0.weight"] != small["0.weight"]).all()


def test_float32_values_are_the_float64_ones_rounded() -> None:
    narrow, wide = _built(0, nn.Dense(4)), _built(0, nn.Dense(4), "float64")
    np.testing.assert_array_equal(narrow["weight"], wide["weight"].astype(np.float32))


def test_an_initializer_of_ones_own() -> None:
    def eye(shape: tuple[int, ...], seed: int, stream: int) -> np.ndarray:  # noqa: ARG001
        return np.eye(*shape)

    layer = nn.Dense(4, in_features=4, kernel_init=eye, bias_init=2.0)
    np.testing.assert_array_equal(layer(np.ones((1, 4), np.float32)), [[3, 3, 3, 3]])


def test_an_initializer_that_gives_another_shape_is_an_error() -> None:
    layer = nn.Dense(4, in_features=4, kernel_init=lambda shape, seed, stream: np.zeros(3))  # noqa: ARG005
    with pytest.raises(ValueError, match=r"its initializer gave values of shape \(3,\)"):
        layer.parameters  # noqa: B018
