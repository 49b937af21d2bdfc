"""Optimizer steps over flat buffers, from gradients of any size, against the formula in float64."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bpcore._native import core
from tests.support.draw import normal

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]

RATE = 1e-2


def _steps(name: str, hyper: dict[str, float], gradients: Array, threads: int = 1) -> tuple[Array, Any]:
    """The parameters, which begin as ones, after steps of these gradients (steps, n), and the optimizer."""
    count, n = gradients.shape
    dtype = str(gradients.dtype)
    store = core.Store([("w", (n,))], [], dtype)
    store.parameter(0)[...] = 1
    graph = core.Graph()
    w, x = graph.parameter(0, (n,), dtype, "w"), graph.input((1, n), dtype, "x")
    product = graph.add("multiply", [w, x], {})
    loss = graph.add("sum", [product], {"axes": [0, 1], "keepdims": False})
    (gradient,) = graph.gradients(loss, [w])
    optimizer = core.Optimizer(name, hyper, store)
    plan = core.Plan(graph, [loss], [(0, gradient)], True)
    session = core.Session(plan, None, store, optimizer, [gradients], 1, threads=threads)
    session.begin_epoch(0, False)
    assert session.run(count, np.full(count, RATE)) == count
    return store.parameter(0).copy(), optimizer


def _adam(gradients: Array, beta1: float, beta2: float, eps: float, decay: float) -> Array:
    w = np.ones(gradients.shape[1])
    m, v = np.zeros_like(w), np.zeros_like(w)
    for step, gradient in enumerate(gradients.astype("float64"), 1):
        g = gradient + decay * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
        w = w - RATE * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps)
    return w


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("decay", [0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_of_gradients_of_every_size(dtype: str, decay: float, eps: float) -> None:
    n, count = 1003, 9
    sizes = 10.0 ** np.linspace(-15, 15, n)
    gradients = (normal((count, n)) * sizes).astype(dtype)
    hyper = {"beta1": 0.9, "beta2": 0.999, "eps": eps, "weight_decay": decay}
    w, optimizer = _steps("adam", hyper, gradients)
    assert optimizer.steps == count
    tolerance = 40 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(w, _adam(gradients, 0.9, 0.999, eps, decay), rtol=tolerance, atol=0)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 8192, 8193, 20000])
def test_adam_does_not_depend_on_an_elements_place(n: int) -> None:
    one = normal((3, 1)).astype("float32")
    hyper = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0}
    alone, _ = _steps("adam", hyper, one)
    for threads in (1, 2):
        together, _ = _steps("adam", hyper, np.repeat(one, n, axis=1), threads)
        np.testing.assert_array_equal(together, np.repeat(alone, n))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_stands_still_where_the_squared_gradient_overflows(dtype: str) -> None:
    largest = float(np.finfo(dtype).max)
    gradients = np.array([[1.0, largest / 8]], dtype)
    w, optimizer = _steps("adam", {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0}, gradients)
    assert np.isinf(optimizer.slot("exp_avg_sq", 0)[1])
    np.testing.assert_allclose(w, [1 - RATE, 1], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "hyper", "slots"),
    [
        ("adam", {"beta1": 0.5, "beta2": 0.5, "eps": 1e-8, "weight_decay": 0}, ["exp_avg", "exp_avg_sq"]),
        ("sgd", {"momentum": 0.5, "nesterov": False, "weight_decay": 0}, ["momentum_buffer"]),
    ],
)
def test_state_that_decays_below_the_normal_numbers_is_zero(
    name: str, hyper: dict[str, float], slots: list[str], dtype: str
) -> None:
    gradients = np.zeros((12, 2), dtype)
    gradients[0, 0] = 100 * np.finfo(dtype).tiny
    gradients[:, 1] = 1
    w, optimizer = _steps(name, hyper, gradients)
    for slot in slots:
        assert optimizer.slot(slot, 0)[0] == 0
        assert optimizer.slot(slot, 0)[1] > 0
    assert np.isfinite(w).all()


def test_subnormal_numbers_are_kept_again_after_a_step() -> None:
    tiny = np.array([np.finfo("float32").smallest_subnormal])
    _steps("sgd", {"momentum": 0, "nesterov": False, "weight_decay": 0}, np.ones((1, 3), "float32"))
    assert tiny[0] * np.float32(2) / np.float32(2) == tiny[0]
    assert tiny[0] != 0
