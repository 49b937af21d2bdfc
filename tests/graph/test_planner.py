"""Offsets in the arena: little more than what must be held at once, never a value over one still needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpcore._native import core
from tests.support import references
from tests.support.networks import Network

NETWORKS = [
    ([10, 32, 10], 1),
    ([784, 256, 256, 10], 256),
    ([784, 512, 256, 10], 128),
    ([20, 64, 64, 64, 64, 64, 1], 32),
    ([784, 128, 32, 128, 784], 64),
    ([5, 300, 7, 200, 3], 17),
]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize(("sizes", "batch"), NETWORKS, ids=str)
def test_arena_is_within_a_tenth_of_the_most_that_lives_at_once(
    sizes: list[int], batch: int, activation: str
) -> None:
    plan = Network(sizes, batch, activation).training_plan()
    assert 0 < plan.live_bytes <= plan.arena_bytes <= 1.1 * plan.live_bytes


def test_arena_of_a_long_chain_is_that_of_two_values() -> None:
    graph = core.Graph()
    value = graph.input((1000,), "float32")
    for _ in range(100):
        value = graph.add("tanh", [value], {})
    plan = core.Plan(graph, [value])
    assert plan.arena_bytes == 2 * 4032  # 4000 bytes, in steps of 64


def test_parameter_gradients_take_no_room_in_the_arena() -> None:
    network = Network([100, 100, 100], batch=1)
    assert network.training_plan().arena_bytes < 100 * 100 * 4


# Ops whose results NumPy gives bit for bit, on square, row, column and single-element operands.
SHAPES = [(1, 1), (1, 5), (5, 1), (5, 5)]
OPS: list[tuple[str, int, dict[str, Any], Any]] = [
    ("add", 2, {}, np.add),
    ("subtract", 2, {}, np.subtract),
    ("multiply", 2, {}, np.multiply),
    ("maximum", 2, {}, np.maximum),
    ("minimum", 2, {}, np.minimum),
    ("neg", 1, {}, np.negative),
    ("abs", 1, {}, np.abs),
    ("relu", 1, {}, references.relu),
    ("identity", 1, {}, np.positive),
    ("transpose", 1, {"axes": [1, 0]}, np.transpose),
    ("max", 1, {"axes": [0], "keepdims": True}, lambda x: x.max(0, keepdims=True)),
    ("min", 1, {"axes": [1], "keepdims": True}, lambda x: x.min(1, keepdims=True)),
]


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], list[tuple[int, list[int]]], list[int]]:
    """Shapes of the inputs; steps (op, operands: earlier values); which values are read at the end."""
    inputs = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    steps: list[tuple[int, list[int]]] = []
    for _ in range(draw(st.integers(1, 25))):
        op = draw(st.integers(0, len(OPS) - 1))
        values = st.integers(0, len(inputs) + len(steps) - 1)
        steps.append((op, [draw(values) for _ in range(OPS[op][1])]))
    outputs = draw(st.lists(st.integers(0, len(inputs) + len(steps) - 1), min_size=1, max_size=4))
    return inputs, steps, outputs


@settings(max_examples=300, deadline=None)
@given(programs(), st.integers(0, 2**32))
def test_random_programs_give_numpys_values_whatever_the_plan(program: Any, seed: int) -> None:
    shapes, steps, outputs = program
    graph = core.Graph()
    arrays = [np.random.default_rng([seed, i]).standard_normal(shape) for i, shape in enumerate(shapes)]
    nodes, values = [graph.input(shape, "float64") for shape in shapes], list(arrays)
    with np.errstate(all="ignore"):
        for op, operands in steps:
            name, _, attributes, function = OPS[op]
            nodes.append(graph.add(name, [nodes[i] for i in operands], attributes))
            values.append(function(*(values[i] for i in operands)))
    plan = core.Plan(graph, [nodes[i] for i in outputs])
    assert plan.arena_bytes >= plan.live_bytes
    for got, i in zip(plan.run(None, arrays), outputs, strict=True):
        np.testing.assert_array_equal(got, values[i])


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=7),
    batch=st.integers(1, 20),
    activation=st.sampled_from(["relu", "sigmoid", "tanh"]),
)
def test_random_networks_plan_tightly_and_every_layer_can_be_looked_at(
    sizes: list[int], batch: int, activation: str
) -> None:
    """Reading all layers changes the plan (nothing may be fused away) but not the loss and the gradients."""
    network = Network(sizes, batch, activation, dtype="float64")
    plan = network.training_plan()
    assert plan.live_bytes <= plan.arena_bytes <= 1.1 * plan.live_bytes + 512
    store, generator = network.store(), np.random.default_rng(batch)
    arrays = [generator.standard_normal((batch, sizes[0])), generator.integers(0, sizes[-1], batch)]
    few = core.Plan(network.graph, [network.loss, *network.gradients]).run(store, arrays)
    everything = core.Plan(network.graph, [network.loss, *network.gradients, *network.layers]).run(
        store, arrays
    )
    for a, b in zip(few, everything, strict=False):
        np.testing.assert_array_equal(a, b)
