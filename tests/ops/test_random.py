"""dropout, random_uniform, random_normal, random_beta: word for word, and what they are like in the large."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support import philox
from tests.support.check_op import Case
from tests.support.draw import normal
from tests.support.graphs import Graph, f32, f64, i64, infer

# Around groups of 32 and 64 elements, and more than one task (16384).
SHAPES: list[tuple[int, ...]] = [(), (1,), (7,), (16,), (33,), (64,), (5, 13), (2, 1, 65), (130,), (0, 3)]
STREAM = 2**63 - 25


def _dropout(x: Any, rate: float, stream: int) -> Any:
    scale = x.dtype.type(1 / (1 - rate)) if rate < 1 else 0
    return np.where(philox.kept(x.shape, rate, stream), x * scale, x.dtype.type(0))


def _beta(alpha: float, dtype: str, stream: int) -> Any:  # noqa: ARG001 - an option of the op
    key = philox.run_key(0, 0)
    seed = key[0] | key[1] << 32
    block = 1

    def log_gamma() -> float:  # Marsaglia and Tsang (2000), of shape alpha + 1
        nonlocal block
        d = alpha + 2 / 3
        while True:
            u = [philox.uniform(index, seed, stream) for index in range(2 * block, 2 * block + 3)]
            block += 2
            x = math.sqrt(-2 * math.log1p(-u[0])) * math.cos(2 * math.pi * u[1])
            v = (1 + x / math.sqrt(9 * d)) ** 3
            if v > 0 and math.log1p(-u[2]) < x * x / 2 + d - d * v + d * math.log(v):
                return math.log(d * v)

    g, h = log_gamma(), log_gamma()
    powers = [math.log1p(-philox.uniform(i, seed, stream)) / alpha for i in (0, 1)]
    return 1 / (1 + math.exp(h + powers[1] - g - powers[0]))


CASES = [
    *(
        Case("dropout", _dropout, normal(shape), rate=rate, stream=STREAM, exact=True, order=2)
        for shape in [*SHAPES, (5, 3300)]
        for rate in ((0.0, 0.1, 0.5, 1.0) if math.prod(shape) <= 130 else (0.4,))
    ),
    *(
        Case("random_uniform", philox.uniforms, shape=list(shape), dtype=dtype, stream=3, exact=True)
        for shape in SHAPES
        for dtype in ("float32", "float64")
    ),
    *(
        Case("random_normal", philox.normals, shape=list(shape), dtype=dtype, stream=3, epsilons=8)
        for shape in [*SHAPES, (1000,)]
        for dtype in ("float32", "float64")
    ),
    *(
        Case("random_beta", _beta, alpha=alpha, dtype=dtype, stream=stream, epsilons=16)
        for alpha in (0.05, 0.4, 1.0, 7.0)
        for stream in (1, 2, 3)
        for dtype in ("float32", "float64")
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize(("seed", "step"), [(0, 1), (1, 0), (2**63 - 1, 12345), (5, 2**40)])
def test_seed_and_step_key_the_numbers(seed: int, step: int) -> None:
    graph = Graph()
    x = graph.input(f64(3, 50))
    outputs = [
        graph.add("dropout", x, rate=0.3, stream=7),
        graph.add("random_uniform", shape=[70], dtype="float32", stream=8),
    ]
    mask, uniforms = graph.plan(*outputs).run(None, [np.ones((3, 50))], seed=seed, step=step)
    np.testing.assert_array_equal(mask != 0, philox.kept((3, 50), 0.3, 7, seed, step))
    np.testing.assert_array_equal(uniforms, philox.uniforms((70,), "float32", 8, seed, step))
    assert ((mask != 0) != philox.kept((3, 50), 0.3, 7)).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradient_is_the_mask_of_the_forward_pass(dtype: str) -> None:
    x, g = normal((41, 27)).astype(dtype), normal((41, 27), key=1).astype(dtype)
    with bp.training(3):
        value, gradient = bp.value_and_grad(lambda v: ops.sum(ops.dropout(v, 0.3) * g))(x)
        ones = ops.dropout(np.ones_like(x), 0.3)
    assert set(np.unique(ones).tolist()) == {0.0, float(np.dtype(dtype).type(1 / 0.7))}
    np.testing.assert_array_equal(gradient, g * ones)
    np.testing.assert_allclose(value, (g * ones * x).sum(), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_elements(dtype: str) -> None:
    """What is kept is scaled, what is not is 0, whatever it was."""
    tiny = float(np.finfo(dtype).smallest_subnormal)
    for value in (1e4, -1e4, 0.0, 1.0, 4 * tiny, math.inf, -math.inf, math.nan):
        x = np.full(200, value, dtype)
        with bp.training(1):
            got, gradient = ops.dropout(x, 0.5), bp.grad(lambda v: ops.sum(ops.dropout(v, 0.5)))(x)
        kept = gradient != 0
        assert 60 < kept.sum() < 140
        np.testing.assert_array_equal(gradient, 2 * kept)
        np.testing.assert_array_equal(got, np.where(kept, 2 * x, 0))


def test_rates_of_nothing_and_everything() -> None:
    x = np.array([1.5, -math.inf, math.nan])
    with bp.training(1):
        np.testing.assert_array_equal(ops.dropout(x, 0), x)
        np.testing.assert_array_equal(ops.dropout(x, 1), np.zeros(3))
        np.testing.assert_array_equal(bp.grad(lambda v: ops.sum(ops.dropout(v, 1)))(x), np.zeros(3))
        # Rates that 32 bits can't tell from 0 and 1 still are what they are.
        assert (ops.dropout(np.ones(10_000), 1e-12) != 0).all()
        assert (ops.dropout(np.ones(10_000), 1 - 1e-12) == 0).all()


@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_share_of_zeros(rate: float) -> None:
    """Five standard errors, of all elements and of each place in a group of 64."""
    rows = 4000
    with bp.training(11):
        dropped = ops.dropout(np.ones((rows, 64), np.float32), rate) == 0
    deviation = math.sqrt(rate * (1 - rate))
    assert abs(dropped.mean() - rate) < 5 * deviation / math.sqrt(dropped.size)
    assert np.abs(dropped.mean(axis=0) - rate).max() < 5 * deviation / math.sqrt(rows)
    flat = dropped.ravel() - rate
    for lag in (1, 16, 64):  # neighbours, words of a block, groups
        assert abs((flat[lag:] * flat[:-lag]).mean()) < 5 * deviation**2 / math.sqrt(flat.size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_moments_of_normals_and_uniforms(dtype: str) -> None:
    """Five standard errors of each estimate."""
    count = 400_000
    with bp.training(5):
        n = ops.random_normal(count, dtype).astype(np.float64)
        u = ops.random_uniform((count,), dtype).astype(np.float64)
    for power, moment, deviation in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((n**power).mean() - moment) < 5 * math.sqrt(deviation / count), power
    assert abs((np.abs(n) < 0.5).mean() - 0.3829249) < 5 * math.sqrt(0.2363 / count)
    assert 4 < np.abs(n).max() < 6.7
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    assert abs(u.mean() - 0.5) < 5 * math.sqrt(1 / 12 / count)
    assert abs(u.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / count)
    for lag in (1, 16, 32, 64):
        assert abs((n[lag:] * n[:-lag]).mean()) < 5 / math.sqrt(count), lag


@pytest.mark.parametrize("alpha", [0.1, 0.2, 1.0, 5.0])
def test_moments_of_beta(alpha: float) -> None:
    graph = Graph()
    plan = graph.plan(graph.add("random_beta", alpha=alpha, dtype="float64", stream=1))
    x = np.array([plan.run(None, [], seed=2, step=step)[0] for step in range(20_000)])
    variance = 1 / (4 * (2 * alpha + 1))
    fourth = 3 * variance**2 * (2 * alpha + 1) / (2 * alpha + 3)  # the central moment
    assert ((x >= 0) & (x <= 1)).all()
    assert abs(x.mean() - 0.5) < 5 * math.sqrt(variance / x.size)
    assert abs(((x - 0.5) ** 2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / x.size)


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-3, 1e10, 1.7e308])
def test_beta_of_extreme_shapes_is_a_share(alpha: float) -> None:
    draws = [float(apply("random_beta", alpha=alpha, dtype="float64", stream=i)) for i in range(100)]
    if alpha < 1e-100:
        assert set(draws) == {0.0, 1.0}
    elif alpha > 1:
        np.testing.assert_allclose(draws, 0.5, atol=1e-4)
    assert all(0 <= draw <= 1 for draw in draws)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_same_bits_alone_in_chains_and_on_any_number_of_threads(dtype: str) -> None:
    graph = Graph()
    x, row = graph.input(((301, 501), dtype)), graph.input(((501,), dtype))
    first = graph.add("multiply", x, row)
    second = graph.add("dropout", first, rate=0.3, stream=1)
    noise = graph.add("random_normal", shape=[301, 501], dtype=dtype, stream=2)
    third = graph.add("add", second, noise)
    fourth = graph.add("dropout", third, rate=0.5, stream=3)
    fused, plain = graph.plan(fourth), graph.plan(fourth, first, second, noise, third)
    assert len(fused.instructions) == 1
    assert len(plain.instructions) == 5
    assert fused.threads(8) > 2, "too little work for threads: nothing would be shown"
    arrays = [normal((301, 501)).astype(dtype), normal((501,), key=1).astype(dtype)]
    want = fused.run(None, arrays, seed=4, step=5)[0]
    np.testing.assert_array_equal(want != 0, _mask((301, 501), 0.5, 3))
    for plan in (fused, plain):
        for threads in (1, 2, 3, 8):
            assert plan.run(None, arrays, threads=threads, seed=4, step=5)[0].tobytes() == want.tobytes()


def _mask(shape: tuple[int, ...], rate: float, stream: int) -> Any:
    """The core's mask, which is compared with the reference's above, for smaller shapes."""
    graph = Graph()
    plan = graph.plan(graph.add("dropout", graph.input(f32(*shape)), rate=rate, stream=stream))
    return plan.run(None, [np.ones(shape, np.float32)], seed=4, step=5)[0] != 0


def test_element_keeps_its_numbers_in_a_longer_batch() -> None:
    with bp.training(9):
        for function in (
            lambda rows: ops.dropout(np.ones((rows, 13)), 0.5),
            lambda rows: ops.random_normal((rows, 13), "float64"),
            lambda rows: ops.random_uniform((rows, 13), "float32"),
        ):
            long = function(100)
            for rows in (1, 2, 5, 50):
                assert function(rows).tobytes() == long[:rows].tobytes()


def test_free_functions_in_one_trace_draw_apart_and_equal_calls_alike() -> None:
    x = np.ones(500)

    def both(v: Any) -> Any:
        return ops.stack([ops.dropout(v, 0.5), ops.dropout(v, 0.5), ops.random_normal(500, "float64")])

    with bp.training(1):
        first, again = bp.grad(lambda v: ops.sum(both(v)[0]))(x), bp.grad(lambda v: ops.sum(both(v)[0]))(x)
        second = bp.grad(lambda v: ops.sum(both(v)[1]))(x)
    with bp.training(2):
        other = bp.grad(lambda v: ops.sum(both(v)[0]))(x)
    np.testing.assert_array_equal(first, again)
    for mask in (second, other):
        assert 150 < (first != mask).sum() < 350


def test_constant_in_a_trace_gets_a_mask_with_each_run() -> None:
    class Model(bp.nn.Module):
        def __call__(self, x: Any) -> Any:
            return x + ops.dropout(np.ones(300, np.float32), 0.5)

    model, x = Model(), np.zeros((1, 300), np.float32)
    with bp.training(1):
        first = model(x)
    with bp.training(2):
        second = model(x)
    assert 80 < (first != second).sum() < 220
    np.testing.assert_array_equal(model(x), np.ones((1, 300)))


def test_inference_mode() -> None:
    x = normal((20, 20))
    np.testing.assert_array_equal(ops.dropout(x, 0.9), x)
    assert bp.grad(lambda v: ops.sum(ops.dropout(v, 0.9)))(x).tolist() == np.ones((20, 20)).tolist()
    with bp.training(0):
        zeros = ops.random_normal((20,), "float64")
    np.testing.assert_array_equal(ops.random_normal((20,), "float64"), zeros)


def test_dtype_of_numbers() -> None:
    assert ops.random_normal(3).dtype == np.float32
    assert ops.random_uniform((2, 3), "float64").dtype == np.float64
    assert ops.random_uniform((), "float32").shape == ()

    class Model(bp.nn.Module):
        def __init__(self) -> None:
            self.weight = bp.nn.Parameter((4,), init=1.0)

        def __call__(self, x: Any) -> Any:
            return x * self.weight + ops.random_uniform(x.shape)

    model = Model()
    model.build(4, dtype="float64")
    assert model(np.zeros((2, 4))).dtype == np.float64


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "error", "message"),
    [
        ("dropout", [i64(3)], {"rate": 0.5, "stream": 0}, TypeError, "float32 or float64, not int64"),
        ("dropout", [f64(3)], {"rate": 1.5, "stream": 0}, ValueError, r"rate must lie in \[0, 1\], got 1.5"),
        ("dropout", [f64(3)], {"rate": -0.1, "stream": 0}, ValueError, r"rate must lie in \[0, 1\]"),
        ("dropout", [f64(3)], {"rate": math.nan, "stream": 0}, ValueError, r"rate must lie in \[0, 1\]"),
        ("dropout", [], {"rate": 0.5, "stream": 0}, ValueError, "expected 1 inputs, got 0"),
        ("random_normal", [f64(3)], {"shape": [3], "dtype": "float64", "stream": 0}, ValueError, "got 1"),
        ("random_normal", [], {"shape": [3], "dtype": "int64", "stream": 0}, TypeError, "not int64"),
        ("random_uniform", [], {"shape": [3], "dtype": "bool", "stream": 0}, TypeError, "not bool"),
        ("random_beta", [], {"alpha": 0.0, "dtype": "float64", "stream": 0}, ValueError, "positive"),
        ("random_beta", [], {"alpha": math.inf, "dtype": "float64", "stream": 0}, ValueError, "finite"),
        ("random_beta", [], {"alpha": 1.0, "dtype": "int64", "stream": 0}, TypeError, "not int64"),
    ],
)
def test_wrong_nodes(op: str, inputs: list, attributes: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=rf"^{op}: .*{message}"):
        infer(op, *inputs, **attributes)


@pytest.mark.parametrize(
    ("rate", "error"),
    [(1.5, ValueError), (-0.1, ValueError), (math.nan, ValueError), (True, TypeError), ("0.5", TypeError)],
)
def test_wrong_rates(rate: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="^dropout: rate must "):
        ops.dropout(np.ones(3), rate)


@pytest.mark.parametrize("draw", [ops.random_normal, ops.random_uniform])
def test_shapes_are_not_rounded(draw: Any) -> None:
    assert draw(np.int64(3)).shape == draw([np.int32(3)]).shape == (3,)
    for shape in ((2.7,), 2.7, (2, True), "3"):
        with pytest.raises(TypeError, match="^random_.*: shape must be an integer, got "):
            draw(shape)


@pytest.mark.parametrize(
    ("seed", "error"), [(-1, ValueError), (2**63, ValueError), (1.0, TypeError), (True, TypeError)]
)
def test_wrong_seeds(seed: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="^training: seed must "):
        bp.training(seed)


def test_a_seed_may_be_one_of_numpys_integers() -> None:
    x = np.ones(100)
    with bp.training(np.int64(3)):
        found = ops.dropout(x, 0.5)
    with bp.training(3):
        np.testing.assert_array_equal(found, ops.dropout(x, 0.5))
