"""Running plans: checked inputs, indices out of range, many callers at once."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from bpcore._native import core
from tests.support.draw import integers, normal
from tests.support.graphs import Graph, f32, f64, i64
from tests.support.networks import Network


def _plan_of_one_input() -> core.Plan:
    graph = Graph()
    return graph.plan(graph.add("neg", graph.input(f64(2, 3))))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "0 inputs given, it has 1"),
        ([np.zeros((2, 3))] * 2, "2 inputs given, it has 1"),
        ([np.zeros((3, 2))], r"input 0 must have shape \(2, 3\) and dtype float64, got shape \(3, 2\)"),
        ([np.zeros((2, 3), "float32")], r"input 0 .*float64, got .*float32"),
        ([np.zeros((2, 3), ">f8")], r"input 0 .*float64, got .*>f8"),
        ([np.zeros((3, 2)).T], "C-contiguous"),
        ([np.zeros((2, 6))[:, ::2]], "C-contiguous"),
    ],
)
def test_inputs_must_be_what_was_planned_for(inputs: list, message: str) -> None:
    with pytest.raises(ValueError, match=f"^plan: .*{message}"):
        _plan_of_one_input().run(None, inputs)


def test_outputs_are_the_callers_own() -> None:
    plan, x = _plan_of_one_input(), normal((2, 3))
    first = plan.run(None, [x])[0]
    plan.run(None, [x + 1])
    np.testing.assert_array_equal(first, -x)
    assert first.flags.owndata
    assert first.flags.writeable


def test_inputs_and_constants_can_be_outputs() -> None:
    graph = Graph()
    x = graph.input(f64(3))
    outputs = [x, graph.constant(np.arange(4)), graph.add("reshape", x, shape=[3, 1]), x]
    values = graph.run(outputs, np.arange(3.0))
    for got, want in zip(
        values, [np.arange(3.0), np.arange(4), np.arange(3.0)[:, None], np.arange(3.0)], strict=True
    ):
        np.testing.assert_array_equal(got, want)


def test_plan_does_not_change_when_its_graph_grows() -> None:
    graph = Graph()
    x = graph.input(f64(2))
    plan = graph.plan(graph.add("neg", x))
    graph.add("exp", graph.input(f64(9)))
    del graph
    np.testing.assert_array_equal(plan.run(None, [np.ones(2)])[0], [-1, -1])


def test_plan_with_gradients_is_not_run_this_way() -> None:
    network = Network([3, 2], batch=4)
    with pytest.raises(RuntimeError, match="gradients"):
        network.training_plan().run(network.store(), [np.zeros((4, 3), "f4"), np.zeros(4, "i8")])


def _labelled() -> tuple[Graph, list[int]]:
    """Labels used three ways: directly, through a view, and after arithmetic."""
    graph = Graph()
    x, labels, others = graph.input(f64(4, 5)), graph.input(i64(4)), graph.input(i64(2, 2))
    loss = graph.add("cross_entropy", x, labels)
    taken = graph.add("gather", x, graph.add("reshape", others, shape=[4]), axis=0)
    computed = graph.add("one_hot", graph.add("add", labels, labels), depth=9, dtype="float64")
    return graph, [loss, taken, computed]


def test_index_bounds_tell_of_inputs_used_as_indices() -> None:
    graph, outputs = _labelled()
    assert sorted(graph.plan(*outputs).index_bounds) == [(1, 0, 5, "cross_entropy"), (2, 0, 4, "gather")]
    assert graph.plan(outputs[2]).index_bounds == []


@pytest.mark.parametrize(
    ("labels", "others", "message"),
    [
        ([0, 1, 2, 5], [0, 0, 0, 0], r"cross_entropy: index 5 is out of range \[0, 5\)"),
        ([0, -1, 2, 3], [0, 0, 0, 0], r"(cross_entropy|one_hot): index -[12] is out of range"),
        ([0, 1, 2, 3], [0, 4, 0, 0], r"gather: index 4 is out of range \[0, 4\)"),
    ],
)
def test_index_out_of_range_is_a_value_error_and_the_next_run_is_fine(
    labels: list, others: list, message: str
) -> None:
    graph, outputs = _labelled()
    plan, x = graph.plan(*outputs), normal((4, 5))
    with pytest.raises(ValueError, match=message):
        plan.run(None, [x, np.array(labels), np.array(others).reshape(2, 2)])
    fine = plan.run(None, [x, np.zeros(4, np.int64), np.full((2, 2), 3)])
    np.testing.assert_array_equal(fine[1], np.stack([x[3]] * 4))


@pytest.mark.parametrize("native_threads", [1, 2])
def test_one_plan_serves_many_callers_at_once(native_threads: int) -> None:
    network = Network([50, 64, 10], batch=64, dtype="float64")
    plan, store = (
        core.Plan(network.graph, [network.logits, network.loss, *network.gradients]),
        network.store(),
    )
    inputs = [[normal((64, 50), key=k), integers((64,), 0, 10, key=k)] for k in range(6)]
    want = [plan.run(store, arrays) for arrays in inputs]
    wrong: list[int] = []

    def call(k: int) -> None:
        for _ in range(30):
            got = plan.run(store, inputs[k], threads=native_threads)
            if any(a.tobytes() != b.tobytes() for a, b in zip(got, want[k], strict=True)):
                wrong.append(k)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(len(inputs))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert not any(caller.is_alive() for caller in callers)
    assert wrong == []


def test_a_wrong_index_of_one_caller_does_not_reach_another() -> None:
    graph = Graph()
    plan = graph.plan(graph.add("cross_entropy", graph.input(f32(200, 10)), graph.input(i64(200))))
    logits, good = normal((200, 10)).astype("f4"), integers((200,), 0, 10)
    bad = np.where(np.arange(200) == 150, 10, good)
    outcomes: dict[str, set[str]] = {"good": set(), "bad": set()}

    def outcome(labels: np.ndarray) -> str:
        try:
            plan.run(None, [logits, labels])
        except ValueError:
            return "raised"
        return "ran"

    def call(name: str, labels: np.ndarray) -> None:
        for _ in range(200):
            outcomes[name].add(outcome(labels))

    callers = [threading.Thread(target=call, args=arguments) for arguments in (("good", good), ("bad", bad))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert outcomes == {"good": {"ran"}, "bad": {"raised"}}
