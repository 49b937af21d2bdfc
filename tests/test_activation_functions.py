"""bpcore.activations: values, derivatives, tails, kinks, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import activations, ops
from tests.support import activations as references
from tests.support.activations import ALONG_AXIS, ELEMENTWISE, Array, Elementwise
from tests.support.draw import normal

KINKS = [0, 6, -3, 3, -1, 1, -0.5, 2]
NAMES = sorted(activations.__all__)


def _function(case: Elementwise) -> Any:
    return lambda x: getattr(activations, case.name)(x, **case.settings)


def _slopes(case: Elementwise, x: Array) -> Array:
    return np.asarray(bp.grad(lambda v: ops.sum(_function(case)(v)))(x))


def _off(x: Array, case: Elementwise) -> Array:
    """`x` without what is close to a kink."""
    return x[np.all([np.abs(x - kink) > 1e-3 for kink in (*case.kinks, np.inf)], axis=0)]


def test_every_function_is_in_a_table() -> None:
    tested = {case.name for case in ELEMENTWISE} | set(ALONG_AXIS) | {"prelu"}
    assert tested == set(activations.__all__)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_values_and_derivatives_as_in_float64(case: Elementwise, dtype: str) -> None:
    x = np.concatenate([np.linspace(-9, 9, 301), KINKS]).astype(dtype)
    x = x.reshape(3, -1)
    wide, eps = x.astype(np.float64), float(np.finfo(dtype).eps)
    value, slope = _function(case)(x), _slopes(case, x)
    assert (value.dtype, value.shape) == (dtype, x.shape)
    np.testing.assert_allclose(value, case.value(wide), rtol=8 * eps, atol=8 * eps)
    np.testing.assert_allclose(slope, case.slope(wide), rtol=32 * eps, atol=32 * eps)


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_derivatives_as_differences(case: Elementwise) -> None:
    x = _off(2.5 * normal((25,)), case)
    assert x.size > 20
    bp.check_gradients(_function(case), x)
    bp.check_gradients(_function(case), x, order=2)


# Far from zero, and next to it


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_far_out_values_and_derivatives_are_right(case: Elementwise, dtype: str) -> None:
    x = np.array([-1e4, -3e3, -1e3, 1e3, 3e3, 1e4], dtype)
    wide = x.astype(np.float64)
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(_function(case)(x), case.value(wide), rtol=4 * eps, atol=tiny)
    np.testing.assert_allclose(_slopes(case, x), case.slope(wide), rtol=4 * eps, atol=tiny)


# An exponential of x has |x| times the relative error of x.
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["softplus", "silu", "mish", "sigmoid"])
def test_tails_on_the_left_keep_their_digits(name: str, dtype: str) -> None:
    (case,) = (c for c in ELEMENTWISE if c.name == name and not c.settings)
    x = np.array([-80, -60, -40, -25, -17, -12], dtype)
    wide = x.astype(np.float64)
    rtol = 64 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(_function(case)(x), case.value(wide), rtol=rtol)
    np.testing.assert_allclose(_slopes(case, x), case.slope(wide), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["elu", "selu", "celu"])
def test_slopes_of_the_exponential_units_keep_their_digits(name: str, dtype: str) -> None:
    (case,) = (c for c in ELEMENTWISE if c.name == name and not c.settings)
    x = np.array([-80, -40, -17, -1e-3, -1e-7], dtype)
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(_slopes(case, x), case.slope(x.astype(np.float64)), rtol=rtol)
    np.testing.assert_allclose(_function(case)(x), case.value(x.astype(np.float64)), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanhshrink_keeps_its_digits_next_to_zero(dtype: str) -> None:
    (case,) = (c for c in ELEMENTWISE if c.name == "tanhshrink")
    x = np.array([-0.02, -1e-3, -1e-5, 1e-9, 1e-6, 1e-4, 0.015], dtype)
    rtol = 4 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(_function(case)(x), case.value(x.astype(np.float64)), rtol=rtol)
    np.testing.assert_allclose(_slopes(case, x), case.slope(x.astype(np.float64)), rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tanhshrink_has_no_seam(dtype: str) -> None:
    x = np.linspace(0.9, 1.1, 401).astype(dtype)
    rtol = 8 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(activations.tanhshrink(x), x - np.tanh(x.astype(np.float64)), rtol=rtol)


def test_softsigns_derivative_keeps_its_digits_far_out() -> None:
    (case,) = (c for c in ELEMENTWISE if c.name == "softsign")
    x = np.array([-1e6, -1e4, -37, 0, 2, 1e5], np.float32)
    np.testing.assert_allclose(_slopes(case, x), (1 + np.abs(x.astype(np.float64))) ** -2, rtol=1e-6)


def test_gelu_on_the_left_is_right_to_the_rounding_of_one() -> None:
    x = np.linspace(-9, -3, 101).astype(np.float32)
    (exact,) = (c for c in ELEMENTWISE if c.name == "gelu" and not c.settings)
    error = np.abs(activations.gelu(x) - exact.value(x.astype(np.float64)))
    assert (error <= np.abs(x) * np.finfo(np.float32).eps).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_zero_and_subnormal_numbers(case: Elementwise, dtype: str) -> None:
    info = np.finfo(dtype)
    x = np.array([0.0, -0.0, info.smallest_subnormal, -info.tiny / 8, info.tiny], dtype)
    wide = x.astype(np.float64)
    # A product of two numbers is rounded to the subnormal ones' spacing.
    np.testing.assert_allclose(
        _function(case)(x), case.value(wide), rtol=4 * info.eps, atol=2 * info.smallest_subnormal
    )
    np.testing.assert_allclose(_slopes(case, x), case.slope(wide), rtol=4 * info.eps, atol=4 * info.tiny)


@pytest.mark.parametrize("name", NAMES)
def test_nan_stays_nan_where_it_is(name: str) -> None:
    x = np.array([[np.nan, 1.0], [2.0, -2.0]])
    extra = (0.25,) if name == "prelu" else ()
    result = getattr(activations, name)(x, *extra)
    assert np.isnan(result[0, 0])
    assert np.isfinite(result[1]).all()


# Kinks


@pytest.mark.parametrize(
    ("function", "points", "slopes"),
    [
        (activations.relu, [0.0, -0.0], [0, 0]),
        (activations.relu6, [0.0, 6.0], [0, 0]),
        (activations.leaky_relu, [0.0, -0.0], [0.01, 0.01]),
        (lambda x: activations.prelu(x, 0.25), [0.0, -0.0], [0.25, 0.25]),
        (lambda x: activations.elu(x, 2.0), [0.0, -0.0], [2, 2]),
        (activations.selu, [0.0], [1.0507009873554805 * 1.6732632423543772]),
        (lambda x: activations.celu(x, 2.0), [0.0, -0.0], [1, 1]),
        (activations.hard_sigmoid, [-3.0, 3.0], [0, 0]),
        (activations.hard_swish, [-3.0, 3.0], [0, 1]),
        (activations.hard_tanh, [-1.0, 1.0], [0, 0]),
        (activations.softsign, [0.0, -1.0, 1.0], [1, 0.25, 0.25]),
    ],
)
def test_derivatives_at_kinks_are_pytorchs(function: Any, points: list, slopes: list) -> None:
    np.testing.assert_allclose(
        bp.grad(lambda x: ops.sum(function(x)))(np.array(points)), slopes, rtol=1e-15, atol=0
    )


# A row's result


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_row_has_the_same_bits_in_a_batch_of_any_size(name: str, dtype: str) -> None:
    x = (3 * normal((33, 34))).astype(dtype)
    extra = (np.full(34, 0.25, dtype),) if name == "prelu" else ()
    function = getattr(activations, name)
    whole = function(x, *extra)
    for rows in (slice(0, 1), slice(5, 12), slice(20, 33)):
        assert function(x[rows], *extra).tobytes() == whole[rows].tobytes()


@pytest.mark.parametrize("case", ELEMENTWISE, ids=str)
def test_shapes_and_numbers(case: Elementwise) -> None:
    function = _function(case)
    for shape in [(), (0,), (3, 0), (1, 1), (2, 3, 4)]:
        assert function(np.ones(shape, np.float32)).shape == shape
    assert function(0.5) == pytest.approx(float(case.value(np.array(0.5))), rel=1e-15)
    assert function([0.5, -0.5]).dtype == np.float64


def test_what_the_core_has_is_the_very_same_function() -> None:
    for name in ("identity", "log_softmax", "relu", "sigmoid", "softmax", "tanh"):
        assert getattr(activations, name) is getattr(ops, name)


# prelu


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (5,)])
def test_prelu_by_input_and_weight(shape: tuple[int, ...], dtype: str) -> None:
    x, weight = normal((4, 5)).astype(dtype), (0.3 * normal(shape, key=1)).astype(dtype)
    got = activations.prelu(x, weight)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, references.prelu(x, weight), rtol=1e-6)
    bp.check_gradients(activations.prelu, x, weight)
    bp.check_gradients(activations.prelu, x, weight, order=2)


def test_prelu_of_a_number_has_no_axes() -> None:
    assert activations.prelu(np.float32(-2), np.array([0.25], np.float32)).shape == ()
    assert activations.prelu(np.array([-2, 2], np.float32), 0.25).tolist() == [-0.5, 2]


def test_the_weight_of_prelu_has_no_derivative_where_the_input_is_zero_or_positive() -> None:
    x = np.array([[0.0, 3.0], [-0.0, -2.0]])
    slope = bp.grad(lambda w: ops.sum(activations.prelu(x, w)))(np.array([0.1, 0.2]))
    np.testing.assert_array_equal(slope, [0, -2])


@pytest.mark.parametrize(("shape", "weight"), [((4, 5), (4,)), ((4, 5), (1, 5)), ((), (2,)), ((3,), (0,))])
def test_prelu_refuses_a_weight_of_another_shape(shape: tuple[int, ...], weight: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^prelu: weight must have shape \(\), \(1,\)"):
        activations.prelu(np.zeros(shape), np.zeros(weight))


def test_prelu_refuses_another_dtype() -> None:
    with pytest.raises(TypeError, match="^prelu: "):
        activations.prelu(np.zeros(3, np.float32), np.zeros(3))


# Along an axis


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("axis", [-1, 0, 1, -3])
@pytest.mark.parametrize("name", sorted(ALONG_AXIS))
def test_functions_along_an_axis(name: str, axis: int, dtype: str) -> None:
    x, function = normal((2, 4, 6)).astype(dtype), getattr(activations, name)
    eps = float(np.finfo(dtype).eps)
    got = function(x, axis=axis)
    assert got.dtype == dtype
    want = ALONG_AXIS[name](x.astype(np.float64), axis)
    np.testing.assert_allclose(got, want, rtol=8 * eps, atol=8 * eps)
    bp.check_gradients(lambda v: function(v, axis=axis), x)
    bp.check_gradients(lambda v: function(v, axis=axis), x, order=2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["glu", "swiglu"])
def test_gated_units_far_out(name: str, dtype: str) -> None:
    x = np.array([[1e4, -1e4], [1e4, 1e4], [-1e4, 1e4], [-1e4, -1e4]], dtype)
    want = {"glu": [0, 1e4, -1e4, 0], "swiglu": [-1e8, 1e8, 0, 0]}[name]
    np.testing.assert_array_equal(getattr(activations, name)(x)[:, 0], want)
    slopes = bp.grad(lambda v: ops.sum(getattr(activations, name)(v)))(x)
    a, b = ([0, 1, 1, 0], [0, 0, 0, 0]) if name == "glu" else ([-1e4, 1e4, 0, 0], [1e4, 1e4, 0, 0])
    np.testing.assert_array_equal(slopes, np.stack([a, b], axis=1))


@pytest.mark.parametrize("name", ["glu", "swiglu"])
@pytest.mark.parametrize(
    ("axis", "error", "fragment"),
    [
        (0, ValueError, r"axis 0 of shape \(3, 4\) must have an even size"),
        (2, ValueError, r"axis 2 is out of range for shape \(3, 4\)"),
        (-3, ValueError, r"axis -3 is out of range for shape \(3, 4\)"),
        (1.0, TypeError, "axis must be an integer, got 1.0"),
        (True, TypeError, "axis must be an integer, got True"),
        (None, TypeError, "axis must be an integer, got None"),
    ],
)
def test_gated_units_refuse(name: str, axis: Any, error: type[Exception], fragment: str) -> None:
    with pytest.raises(error, match=rf"^{name}: {fragment}"):
        getattr(activations, name)(np.zeros((3, 4)), axis=axis)


# What is refused


@pytest.mark.parametrize("name", [name for name in NAMES if name != "identity"])  # which takes anything
@pytest.mark.parametrize("dtype", ["int64", "bool"])
def test_integers_and_masks_are_a_type_error_that_names_the_function(name: str, dtype: str) -> None:
    extra = (0.25,) if name == "prelu" else ()
    with pytest.raises(TypeError, match=rf"^{name}: .*must be float32 or float64, not {dtype}"):
        getattr(activations, name)(np.ones((2, 2), dtype), *extra)


_SETTINGS = [
    ("leaky_relu", "negative_slope"),
    ("elu", "alpha"),
    ("celu", "alpha"),
    ("softplus", "beta"),
    ("hard_tanh", "min_val"),
    ("hard_tanh", "max_val"),
]


@pytest.mark.parametrize(("name", "setting"), _SETTINGS)
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (True, TypeError),
        ("1", TypeError),
        (None, TypeError),
        (1j, TypeError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
    ],
)
def test_settings_that_are_no_numbers(name: str, setting: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^{name}: {setting} must be (a number|finite.*), got "):
        getattr(activations, name)(np.zeros(3), **{setting: value})


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("leaky_relu", {"negative_slope": -0.1}, "negative_slope must be finite and at least 0, got -0.1"),
        ("elu", {"alpha": -1}, "alpha must be finite and at least 0, got -1"),
        ("celu", {"alpha": 0}, "alpha must be finite and above 0, got 0"),
        ("softplus", {"beta": 0.0}, "beta must be finite and above 0, got 0.0"),
        ("hard_tanh", {"min_val": 1, "max_val": 1}, "min_val must be less than max_val, got 1 and 1"),
        ("gelu", {"approximate": "erf"}, 'approximate must be "none" or "tanh", got \'erf\''),
        ("gelu", {"approximate": True}, 'approximate must be "none" or "tanh", got True'),
    ],
)
def test_settings_out_of_range(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: {message}$"):
        getattr(activations, name)(np.zeros(3), **settings)


def test_a_setting_may_be_a_numpy_number() -> None:
    x = np.array([-2.0, 1.0], np.float32)
    assert activations.leaky_relu(x, np.float64(0.5)).tolist() == [-1, 1]
    assert activations.hard_tanh(x, np.int64(-1), np.int32(1)).dtype == np.float32
