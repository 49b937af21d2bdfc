"""Optimizer steps over flat buffers, from gradients of any size, against the formulas in float64."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bpcore import optim
from bpcore._native import core
from tests.support.draw import normal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[Any]

RATE = 1e-2


def _steps(optimizer: optim.Optimizer, gradients: Array, threads: int = 1) -> tuple[Array, Any]:
    """The parameters, which begin as ones, after steps of these gradients (steps, n), and the state."""
    count, n = gradients.shape
    dtype = str(gradients.dtype)
    store = core.Store([("w", (n,))], [], dtype)
    store.parameter(0)[...] = 1
    graph = core.Graph()
    w, x = graph.parameter(0, (n,), dtype, "w"), graph.input((1, n), dtype, "x")
    product = graph.add("multiply", [w, x], {})
    loss = graph.add("sum", [product], {"axes": [0, 1], "keepdims": False})
    (gradient,) = graph.gradients(loss, [w])
    updates = core.Optimizer(optimizer.name, [optimizer.hyper()], store)
    plan = core.Plan(graph, [loss], [(0, gradient)], True)
    session = core.Session(plan, None, store, updates, [gradients], 1, threads=threads)
    session.begin_epoch(0, False)
    assert session.run(count, optimizer.rates(0, count)) == count
    return store.parameter(0).copy(), updates


# What a step does, in the words of the papers: (weight, gradient, step from 1, memory) -> weight
# ruff: noqa: ARG001


def _adam(w: Array, g: Array, t: int, memory: dict[str, Any], *, amsgrad: bool = False) -> Array:
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    if amsgrad:
        v = memory["largest"] = np.maximum(memory.get("largest", 0), v)
    return w - RATE * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def _decayed_adam(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    return _adam(w, g + 0.1 * w, t, memory)


def _amsgrad(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    return _adam(w, g, t, memory, amsgrad=True)


def _adamw(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    return _adam(w * (1 - RATE * 0.1), g, t, memory)


def _adamax(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    u = memory["u"] = np.maximum(0.999 * memory.get("u", 0), np.abs(g) + 1e-8)
    return w - RATE / (1 - 0.9**t) * m / u


def _nadam(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    momentum, following = (0.9 * (1 - 0.5 * 0.96 ** (at * 4e-3)) for at in (t, t + 1))
    product = memory["product"] = memory.get("product", 1) * momentum
    mean = (1 - momentum) * g / (1 - product) + following * m / (1 - product * following)
    return w - RATE * mean / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


def _radam(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    last = 2 / (1 - 0.999) - 1
    length = last - 2 * t * 0.999**t / (1 - 0.999**t)
    move = RATE * m / (1 - 0.9**t)
    if length <= 5:
        return w - move
    rectified = math.sqrt((length - 4) * (length - 2) * last / ((last - 4) * (last - 2) * length))
    return w - move * rectified * math.sqrt(1 - 0.999**t) / (np.sqrt(v) + 1e-8)


def _lamb(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    v = memory["v"] = 0.999 * memory.get("v", 0) + 0.001 * g * g
    u = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-6) + 0.1 * w
    return w - RATE * np.linalg.norm(w) / np.linalg.norm(u) * u


def _momentum(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    b = memory["b"] = 0.9 * memory.get("b", 0) + g + 0.1 * w
    return w - RATE * b


def _adagrad(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    s = memory["s"] = memory.get("s", 0.5) + g * g
    return w - RATE / (1 + (t - 1) * 0.1) * g / (np.sqrt(s) + 1e-10)


def _adadelta(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    s = memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g * g
    d = np.sqrt(memory.get("a", 0) + 1e-6) / np.sqrt(s + 1e-6) * g
    memory["a"] = 0.9 * memory.get("a", 0) + 0.1 * d * d
    return w - RATE * d


def _rmsprop(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    s = memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g * g
    return w - RATE * g / (np.sqrt(s) + 1e-8)


def _centered_rmsprop(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    s = memory["s"] = 0.9 * memory.get("s", 0) + 0.1 * g * g
    m = memory["m"] = 0.9 * memory.get("m", 0) + 0.1 * g
    b = memory["b"] = 0.5 * memory.get("b", 0) + g / (np.sqrt(s - m * m) + 1e-2)
    return w - RATE * b


def _lion(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    m = memory.get("m", 0)
    memory["m"] = 0.99 * m + 0.01 * g
    return w - RATE * (np.sign(0.9 * m + 0.1 * g) + 0.1 * w)


def _rprop(w: Array, g: Array, t: int, memory: dict[str, Any]) -> Array:
    agreement = np.sign(memory.get("g", np.zeros_like(g))) * np.sign(g)
    size = memory.get("size", np.full_like(g, RATE))
    size = memory["size"] = np.clip(
        size * np.where(agreement > 0, 1.2, np.where(agreement < 0, 0.5, 1)), 1e-3, 0.012
    )
    memory["g"] = np.where(agreement < 0, 0, g)
    return w - np.sign(memory["g"]) * size


FORMULAS: dict[str, tuple[optim.Optimizer, Callable[..., Array]]] = {
    "momentum": (optim.SGD(RATE, 0.9, weight_decay=0.1), _momentum),
    "adam": (optim.Adam(RATE), _adam),
    "adam with decay": (optim.Adam(RATE, weight_decay=0.1), _decayed_adam),
    "amsgrad": (optim.Adam(RATE, amsgrad=True), _amsgrad),
    "adamw": (optim.AdamW(RATE, weight_decay=0.1), _adamw),
    "adamax": (optim.Adamax(RATE), _adamax),
    "nadam": (optim.NAdam(RATE), _nadam),
    "radam": (optim.RAdam(RATE), _radam),
    "lamb": (optim.LAMB(RATE, weight_decay=0.1), _lamb),
    "adagrad": (optim.Adagrad(RATE, lr_decay=0.1, initial_accumulator_value=0.5), _adagrad),
    "adadelta": (optim.Adadelta(RATE), _adadelta),
    "rmsprop": (optim.RMSprop(RATE, alpha=0.9), _rmsprop),
    "centered rmsprop": (
        optim.RMSprop(RATE, alpha=0.9, eps=1e-2, momentum=0.5, centered=True),
        _centered_rmsprop,
    ),
    "lion": (optim.Lion(RATE, weight_decay=0.1), _lion),
    "rprop": (optim.Rprop(RATE, step_sizes=(1e-3, 0.012)), _rprop),
}


@pytest.mark.parametrize("case", FORMULAS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_steps_are_the_formulas(case: str, dtype: str) -> None:
    optimizer, formula = FORMULAS[case]
    gradients = normal((12, 9003)).astype(dtype)
    got, updates = _steps(optimizer, gradients)
    assert updates.steps == len(gradients)
    want, memory = np.ones(gradients.shape[1]), {}
    for step, gradient in enumerate(gradients.astype("float64"), 1):
        want = formula(want, gradient, step, memory)
    tolerance = {"float32": 3e-6, "float64": 1e-13}[dtype]
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_of_gradients_of_every_size(dtype: str, eps: float) -> None:
    n, count = 1003, 9
    gradients = (normal((count, n)) * 10.0 ** np.linspace(-15, 15, n)).astype(dtype)
    got, _ = _steps(optim.Adam(RATE, eps=eps), gradients)
    want, m, v = np.ones(n), np.zeros(n), np.zeros(n)
    for step, g in enumerate(gradients.astype("float64"), 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        want = want - RATE * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + eps)
    np.testing.assert_allclose(got, want, rtol=40 * float(np.finfo(dtype).eps), atol=0)


@pytest.mark.parametrize("case", FORMULAS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 8192, 8193, 20000])
def test_an_update_does_not_depend_on_an_elements_place(case: str, n: int) -> None:
    if case == "lamb":
        pytest.skip("its steps depend on the whole tensor")
    one = normal((3, 1)).astype("float32")
    optimizer, _ = FORMULAS[case]
    alone, _ = _steps(optimizer, one)
    for threads in (1, 2):
        together, _ = _steps(optimizer, np.repeat(one, n, axis=1), threads)
        np.testing.assert_array_equal(together, np.repeat(alone, n))


def test_lamb_has_the_same_bits_for_any_number_of_threads() -> None:
    gradients = normal((3, 40_000)).astype("float32")
    one, two, three = (_steps(FORMULAS["lamb"][0], gradients, threads)[0] for threads in (1, 2, 3))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, three)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_stands_still_where_the_squared_gradient_overflows(dtype: str) -> None:
    largest = float(np.finfo(dtype).max)
    w, updates = _steps(optim.Adam(RATE), np.array([[1.0, largest / 8]], dtype))
    assert np.isinf(updates.slot("exp_avg_sq", 0)[1])
    np.testing.assert_allclose(w, [1 - RATE, 1], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("optimizer", "slots"),
    [
        (optim.Adam(RATE, betas=(0.5, 0.5)), ["exp_avg", "exp_avg_sq"]),
        (optim.SGD(RATE, momentum=0.5), ["momentum_buffer"]),
        (optim.RMSprop(RATE, alpha=0.1), ["square_avg"]),
        (optim.Lion(RATE, betas=(0.5, 0.5)), ["exp_avg"]),
        (optim.LAMB(RATE, betas=(0.5, 0.5)), ["exp_avg", "exp_avg_sq"]),
    ],
)
def test_state_that_decays_below_the_normal_numbers_is_zero(
    optimizer: optim.Optimizer, slots: list[str], dtype: str
) -> None:
    gradients = np.zeros((12, 2), dtype)
    gradients[0, 0] = 100 * np.finfo(dtype).tiny
    gradients[:, 1] = 1
    w, updates = _steps(optimizer, gradients)
    for slot in slots:
        assert updates.slot(slot, 0)[0] == 0
        assert updates.slot(slot, 0)[1] > 0
    assert np.isfinite(w).all()


def test_subnormal_numbers_are_kept_again_after_a_step() -> None:
    tiny = np.array([np.finfo("float32").smallest_subnormal])
    _steps(optim.SGD(RATE), np.ones((1, 3), "float32"))
    assert tiny[0] * np.float32(2) / np.float32(2) == tiny[0]
    assert tiny[0] != 0


@pytest.mark.parametrize("case", FORMULAS)
def test_a_parameter_of_zeros_without_gradients_stays(case: str) -> None:
    """Padding between tensors is such a one; it must stay zero, also where roots and quotients are taken."""
    optimizer, _ = FORMULAS[case]
    store = core.Store([("w", (3,))], [], "float32")
    updates = core.Optimizer(optimizer.name, [optimizer.hyper()], store)
    graph = core.Graph()
    w, x = graph.parameter(0, (3,), "float32", "w"), graph.input((1, 3), "float32", "x")
    loss = graph.add("sum", [graph.add("multiply", [w, x], {})], {"axes": [0, 1], "keepdims": False})
    plan = core.Plan(graph, [loss], [(0, graph.gradients(loss, [w])[0])], True)
    session = core.Session(plan, None, store, updates, [np.zeros((4, 3), np.float32)], 1)
    session.begin_epoch(0, False)
    session.run(4, optimizer.rates(0, 4))
    np.testing.assert_array_equal(store.flat_parameters, np.zeros(16, np.float32))


def test_unknown_and_missing_settings_are_errors() -> None:
    store = core.Store([("w", (3,))], [], "float32")
    with pytest.raises(ValueError, match="there is no optimizer adan"):
        core.Optimizer("adan", [{}], store)
    with pytest.raises(ValueError, match="lion: beta1 is missing"):
        core.Optimizer("lion", [{}], store)
    with pytest.raises(ValueError, match="lion: there is no setting eps"):
        core.Optimizer("lion", [{**optim.Lion().hyper(), "eps": 1.0}], store)
    with pytest.raises(ValueError, match="there is no group 1"):
        core.Optimizer("lion", [optim.Lion().hyper()], store, [1])
