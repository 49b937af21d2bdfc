"""Activations as modules: their values, their derivatives, and far from zero."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.nn import activations
from tests.support.activations import ALONG_AXIS, ELEMENTWISE, prelu

# What a function is called as a module; its settings have the same names.
MODULES: dict[str, type[nn.Module]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "glu": nn.GLU,
    "hard_sigmoid": nn.HardSigmoid,
    "hard_swish": nn.HardSwish,
    "hard_tanh": nn.HardTanh,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "log_softmax": nn.LogSoftmax,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
    "silu": nn.SiLU,
    "softmax": nn.Softmax,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "swiglu": nn.SwiGLU,
    "tanh": nn.Tanh,
    "tanhshrink": nn.Tanhshrink,
}
NAMES = sorted(MODULES)
HALVING = ("glu", "swiglu")

CASES: list[tuple[Any, Any]] = [
    *((MODULES[case.name](**case.settings), case.value) for case in ELEMENTWISE),
    *((MODULES[name](), function) for name, function in ALONG_AXIS.items()),
    *(
        (MODULES[name](axis), lambda z, f=function, axis=axis: f(z, axis))
        for name, function in ALONG_AXIS.items()
        for axis in (0, -2)
    ),
    (nn.PReLU(), lambda z: prelu(z, np.array(0.25))),
    (nn.PReLU(6, init=-0.5), lambda z: prelu(z, np.array(-0.5))),
]


def test_every_function_has_a_module_and_a_name() -> None:
    assert set(MODULES) == set(bp.activations.__all__)
    assert set(MODULES) | {"linear", "swish"} == set(activations._NAMED)
    assert {cls.__name__ for cls in MODULES.values()} <= set(nn.__all__)


@pytest.mark.parametrize(("module", "expected"), CASES, ids=lambda each: repr(each)[:40])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_values_and_dtypes(module: nn.Module, expected: Any, dtype: str, tolerance: float) -> None:
    module = copy.deepcopy(module)  # one with a weight is of one dtype
    z = (3 * np.random.default_rng(0).normal(size=(4, 6))).astype(dtype)
    if isinstance(module, nn.PReLU):
        module.build((None, 6), dtype=dtype)
    assert module(z).dtype == dtype
    np.testing.assert_allclose(module(z), expected(z.astype(np.float64)), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(("module", "expected"), CASES, ids=lambda each: repr(each)[:40])
def test_derivatives(module: nn.Module, expected: Any) -> None:
    z = np.random.default_rng(0).normal(size=(2, 6))
    assert all(np.abs(z - kink).min() > 1e-3 for kink in (0, -1, 1, -0.5, 2, -3, 3))
    if isinstance(module, nn.PReLU):
        module = copy.deepcopy(module)
        module.build((None, 6), dtype="float64")
    bp.check_gradients(module, z)
    bp.check_gradients(module, z, order=2, tolerance=1e-5)
    assert expected(z).shape == module(z).shape


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_from_zero_nothing_overflows(dtype: str) -> None:
    z = np.array([[-1e4, 0.0, 1e4]], dtype)
    np.testing.assert_array_equal(nn.Sigmoid()(z), [[0, 0.5, 1]])
    np.testing.assert_array_equal(nn.Tanh()(z), [[-1, 0, 1]])
    np.testing.assert_array_equal(nn.Softmax()(z), [[0, 0, 1]])
    np.testing.assert_array_equal(nn.LogSoftmax()(z), [[-2e4, -1e4, 0]])
    np.testing.assert_array_equal(nn.ReLU()(z), [[0, 0, 1e4]])


def test_nan_is_not_swallowed() -> None:
    z = np.array([[np.nan, 1.0]])
    for module in (nn.ReLU(), nn.Sigmoid(), nn.Tanh(), nn.Identity(), nn.PReLU(), nn.GELU(), nn.HardTanh()):
        assert np.isnan(module(z)[0, 0]), module
        assert np.isfinite(module(z)[0, 1]), module


def test_the_derivative_of_relu_at_zero_is_zero() -> None:
    assert bp.grad(lambda v: bp.ops.sum(nn.ReLU()(v)))(np.zeros(3)).tolist() == [0, 0, 0]


def test_they_have_no_parameters_and_fit_into_models() -> None:
    for module, _ in CASES:
        assert isinstance(module, nn.PReLU) or module.parameters == {}
    x = np.random.default_rng(0).normal(size=(3, 4))
    parts = nn.Sequential(nn.Dense(5), nn.Tanh(), nn.Dense(2), nn.Softmax())
    parts.build(4, dtype="float64")
    fused = nn.Sequential(nn.Dense(5, "tanh"), nn.Dense(2, "softmax"))
    fused.build(4, dtype="float64")
    for mine, theirs in zip(fused.parameters.values(), parts.parameters.values(), strict=True):
        mine[...] = theirs
    np.testing.assert_allclose(fused(x), parts(x), rtol=1e-13)


# By name


@pytest.mark.parametrize("name", [*NAMES, "linear", "swish"])
def test_every_name_is_a_function(name: str) -> None:
    z = np.random.default_rng(0).normal(size=(2, 6))
    function = activations.resolve(name)
    assert function is not None
    module = MODULES[{"linear": "identity", "swish": "silu"}.get(name, name)]()
    np.testing.assert_array_equal(function(z.astype(np.float32)), module(z.astype(np.float32)))


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("leakyrelu", "leaky_relu"),
        ("hardswish", "hard_swish"),
        ("GELU", "gelu"),
        ("soft_plus", "softplus"),
        ("SwiGLU", "swiglu"),
        ("prelu6", "relu6"),
    ],
)
def test_a_wrong_name_gets_the_nearest(wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"unknown activation '{wrong}'; did you mean .*'{right}'"):
        nn.Dense(3, wrong)


@pytest.mark.parametrize("name", NAMES)
def test_a_dense_layer_takes_it_by_name_by_function_and_as_a_module(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 4))
    plain = nn.Dense(6, in_features=4, bias_init=0.1)
    plain.build(4, dtype="float64")
    forms = [name, MODULES[name]()] + ([] if name == "prelu" else [getattr(bp.activations, name)])
    for form in forms:
        layer = nn.Dense(6, form, in_features=4)
        layer.build(4, dtype="float64")
        layer.weight.value[...] = plain.weight.value
        layer.bias.value[...] = 0.1  # type: ignore[union-attr]
        expected = next(
            (case.value for case in ELEMENTWISE if case.name == name),
            ALONG_AXIS.get(name, lambda z: prelu(z, np.array(0.25))),
        )
        want = expected(plain(x))
        assert layer(x).shape == ((5, 3) if name in HALVING else (5, 6))
        np.testing.assert_allclose(layer(x), want, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh"])
def test_those_of_the_core_are_computed_with_the_product(name: str) -> None:
    for activation in (name, getattr(bp.activations, name), getattr(ops, name)):
        layer = nn.Dense(3, activation, in_features=4)
        layer(np.zeros((2, 4), np.float32))
        plans = [compiled.plan for compiled in layer._bpcore.plans._entries.values()]
        assert [plan.instructions for plan in plans] == [[f"dense[{name}] (2, 3)"]]


RECTIFIERS = {
    "celu", "elu", "gelu", "hard_swish", "leaky_relu", "mish", "prelu", "relu", "relu6", "silu",
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_initial_weights_suit_the_activation(name: str) -> None:
    for activation in (name, MODULES[name]()):
        layer = nn.Dense(300, activation, in_features=200)
        weight = layer.parameters["weight"]
        if name == "selu":
            assert weight.var() == pytest.approx(1 / 200, rel=0.03)
        elif name in RECTIFIERS:
            assert weight.var() == pytest.approx(2 / 200, rel=0.03)
            assert np.abs(weight).max() > np.sqrt(6 / 200), "normal, not uniform"
        else:
            assert weight.var() == pytest.approx(2 / 500, rel=0.03)
            assert np.abs(weight).max() <= np.float32(np.sqrt(6 / 500))


def test_a_setting_keeps_he_initialisation() -> None:
    layer = nn.Dense(300, nn.LeakyReLU(0.2), in_features=200)
    assert layer.parameters["weight"].var() == pytest.approx(2 / 200, rel=0.03)
    given = nn.Dense(300, "gelu", in_features=200, kernel_init="zeros")
    assert not given.parameters["weight"].any()


# Settings


@pytest.mark.parametrize(
    ("module", "text"),
    [
        (nn.ReLU(), "ReLU()"),
        (nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
        (nn.PReLU(), "PReLU(num_parameters=1)"),
        (nn.PReLU(8), "PReLU(num_parameters=8)"),
        (nn.ELU(0.5), "ELU(alpha=0.5)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.HardTanh(max_val=2), "HardTanh(min_val=-1.0, max_val=2)"),
        (nn.Softmax(0), "Softmax(axis=0)"),
        (nn.SwiGLU(), "SwiGLU(axis=-1)"),
    ],
)
def test_they_show_their_settings(module: nn.Module, text: str) -> None:
    assert repr(module) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LeakyReLU(-0.1), ValueError, "leaky_relu: negative_slope must be finite and at least 0"),
        (lambda: nn.LeakyReLU(True), TypeError, "leaky_relu: negative_slope must be a number, got True"),
        (lambda: nn.ELU(float("nan")), ValueError, "elu: alpha must be finite and at least 0, got nan"),
        (lambda: nn.ELU("1"), TypeError, "elu: alpha must be a number, got '1'"),  # type: ignore[arg-type]
        (lambda: nn.CELU(0), ValueError, "celu: alpha must be finite and above 0, got 0"),
        (lambda: nn.Softplus(-1), ValueError, "softplus: beta must be finite and above 0, got -1"),
        (lambda: nn.HardTanh(1, 0), ValueError, "hard_tanh: min_val must be less than max_val, got 1 and 0"),
        (lambda: nn.GELU("exact"), ValueError, "gelu: approximate must be"),  # type: ignore[arg-type]
        (lambda: nn.PReLU(0), ValueError, "PReLU: num_parameters must be at least 1, got 0"),
        (lambda: nn.PReLU(2.0), TypeError, "PReLU: num_parameters must be an integer, got 2.0"),  # type: ignore[arg-type]
        (lambda: nn.PReLU(init=float("nan")), ValueError, "PReLU: init must be finite, got nan"),
        (lambda: nn.Softmax(1.5), TypeError, "Softmax: axis must be an integer, got 1.5"),  # type: ignore[arg-type]
        (lambda: nn.GLU(True), TypeError, "GLU: axis must be an integer, got True"),
        (lambda: nn.ReLU(3), TypeError, r"ReLU\(\) takes no arguments"),  # type: ignore[call-arg]
    ],
)
def test_bad_settings_are_refused_when_the_module_is_made(
    make: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make()


def test_a_setting_may_be_changed_later() -> None:
    module, z = nn.LeakyReLU(0.5), np.array([-2.0, 2.0])
    np.testing.assert_array_equal(module(z), [-1, 2])
    module.negative_slope = 0.25
    np.testing.assert_array_equal(module(z), [-0.5, 2])
    module.negative_slope = float("nan")
    with pytest.raises(ValueError, match="negative_slope must be finite"):
        module(z)


# PReLU's weight


def test_prelu_learns_its_weights(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 3))
    y = np.where(x > 0, x, np.array([0.1, 0.5, -1.0]) * x)
    model = nn.Sequential(nn.PReLU(3))
    trainer = bp.Trainer(model, "mse", optim.Adam(0.05), dtype="float64")
    trainer.fit(x, y, epochs=300, batch_size=64, progress=False)
    np.testing.assert_allclose(trainer.parameters["0.weight"], [0.1, 0.5, -1.0], atol=1e-3)
    model.save_weights(tmp_path / "prelu.safetensors")
    again = nn.Sequential(nn.PReLU(3))
    again.load_weights(tmp_path / "prelu.safetensors")
    np.testing.assert_array_equal(again(x), model(x))


def test_each_layer_named_prelu_has_a_weight_of_its_own() -> None:
    model = nn.Sequential(nn.Dense(4, "prelu", in_features=2), nn.Dense(4, "prelu", in_features=4))
    names = [name for name in model.parameters if "activation" in name]
    assert names == ["0.activation.weight", "1.activation.weight"]
    assert all(model.parameters[name].tolist() == [0.25] for name in names)


def test_prelu_of_other_channels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"prelu: weight must have shape \(\), \(1,\) or \(4,\)"):
        nn.PReLU(3)(np.zeros((2, 4), np.float32))


# Training


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_a_training_step_goes_down_the_slope(name: str, dtype: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(16, 5)), rng.normal(size=(16, 2))
    model = nn.Sequential(nn.Dense(8, name), nn.Dense(2))
    trainer = bp.Trainer(model, "mse", optim.SGD(1e-2), dtype=dtype)
    before = trainer.evaluate(x, y)["loss"]
    values = {key: value.copy() for key, value in trainer.parameters.items()}
    gradients = trainer.gradients(x, y)
    trainer.fit(x, y, epochs=1, batch_size=16, progress=False)
    decrease = before - trainer.evaluate(x, y)["loss"]
    expected = 1e-2 * sum(float((gradient**2).sum()) for gradient in gradients.values())
    assert decrease == pytest.approx(expected, rel=0.2)
    for key, value in trainer.parameters.items():
        np.testing.assert_allclose(value, values[key] - 1e-2 * gradients[key], rtol=1e-5, atol=1e-7)
    assert any("activation" in key for key in gradients) == (name == "prelu")
