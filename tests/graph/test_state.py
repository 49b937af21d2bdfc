"""State that is not trained: written by training plans only, after all reads."""

from __future__ import annotations

import numpy as np
import pytest

from bpcore._native import core
from tests.support.draw import normal


class States:
    """A graph with two states of shape (3,) and an input of that shape."""

    def __init__(self) -> None:
        self.graph = core.Graph()
        self.a, self.b = (self.graph.state(slot, (3,), "float64", "ab"[slot]) for slot in (0, 1))
        self.x = self.graph.input((3,), "float64", "x")
        self.store = core.Store([], [("a", (3,)), ("b", (3,))], "float64")
        self.store.state(0)[...], self.store.state(1)[...] = 1, 2

    def add(self, op: str, *inputs: int, **attributes: object) -> int:
        return self.graph.add(op, list(inputs), attributes)

    def run(self, *outputs: int, training: bool = True, x: np.ndarray | None = None) -> list[np.ndarray]:
        plan = core.Plan(self.graph, list(outputs), [], training)
        return plan.run(self.store, [np.zeros(3) if x is None else x])


def test_only_training_plans_write_states() -> None:
    s = States()
    s.graph.assign_state(s.a, s.add("add", s.a, s.x))
    s.run(s.x, training=False, x=np.ones(3))
    np.testing.assert_array_equal(s.store.state(0), [1, 1, 1])
    s.run(s.x, training=True, x=np.ones(3))
    s.run(s.x, training=True, x=np.ones(3))
    np.testing.assert_array_equal(s.store.state(0), [3, 3, 3])
    np.testing.assert_array_equal(s.store.state(1), [2, 2, 2])


def test_states_are_written_after_all_reads() -> None:
    s = States()
    s.graph.assign_state(s.a, s.x)
    (late,) = s.run(s.add("exp", s.add("multiply", s.a, s.a)), x=np.full(3, 9.0))
    np.testing.assert_allclose(late, np.exp(np.ones(3)))
    np.testing.assert_array_equal(s.store.state(0), [9, 9, 9])


def test_state_as_an_output_is_the_one_before_the_step() -> None:
    s = States()
    s.graph.assign_state(s.a, s.add("add", s.a, s.x))
    outputs = s.run(s.a, s.add("reshape", s.a, shape=[3, 1]), s.add("identity", s.a), x=np.ones(3))
    for output in outputs:
        np.testing.assert_array_equal(output.ravel(), [1, 1, 1])


@pytest.mark.parametrize("view", [None, "identity", "stop_gradient"])
def test_two_states_can_be_swapped(view: str | None) -> None:
    s = States()
    s.graph.assign_state(s.a, s.add(view, s.b) if view else s.b)
    s.graph.assign_state(s.b, s.add(view, s.a) if view else s.a)
    s.run(s.x)
    np.testing.assert_array_equal(s.store.state(0), [2, 2, 2])
    np.testing.assert_array_equal(s.store.state(1), [1, 1, 1])


def test_updates_read_each_others_old_values() -> None:
    s = States()
    s.graph.assign_state(s.a, s.add("add", s.a, s.b))
    s.graph.assign_state(s.b, s.add("multiply", s.a, s.b))
    s.run(s.x)
    np.testing.assert_array_equal(s.store.state(0), [3, 3, 3])
    np.testing.assert_array_equal(s.store.state(1), [2, 2, 2])


def test_one_value_can_go_to_both_states_and_to_an_output() -> None:
    s = States()
    value = s.add("exp", s.x)
    s.graph.assign_state(s.a, value)
    s.graph.assign_state(s.b, value)
    x = normal((3,))
    (output,) = s.run(value, x=x)
    for got in (output, s.store.state(0), s.store.state(1)):
        np.testing.assert_allclose(got, np.exp(x))


def test_second_update_of_a_state_is_an_error() -> None:
    s = States()
    s.graph.assign_state(s.a, s.x)
    with pytest.raises(ValueError, match="^assign_state: a is updated twice"):
        s.graph.assign_state(s.a, s.b)


def test_wrong_updates_are_errors() -> None:
    s = States()
    with pytest.raises(ValueError, match="^assign_state: the first node is not a state"):
        s.graph.assign_state(s.x, s.a)
    with pytest.raises(ValueError, match=r"^assign_state: a has shape \(3,\).*\(1, 3\)"):
        s.graph.assign_state(s.a, s.add("reshape", s.x, shape=[1, 3]))
    with pytest.raises((TypeError, ValueError), match=r"^assign_state: a .*float32"):
        s.graph.assign_state(s.a, s.add("cast", s.x, dtype="float32"))
