"""Calls whose work grows with their data let other Python threads run meanwhile."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bpcore._native import core
from tests.support.graphs import Graph, f32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 1 << 22


@pytest.fixture(autouse=True)
def _threads_wait_until_they_are_let() -> Iterator[None]:
    """Nobody is made to give the interpreter's lock away."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


def _session() -> Any:
    graph = Graph()
    plan = graph.plan(graph.sum(graph.input(f32(COUNT))))
    return core.Session(plan, None, core.Store([], [], "float32"), None, [FLOATS], COUNT)


def _collected() -> Callable[[], Any]:
    graph = Graph()
    x = graph.input(f32(COUNT))
    plan = graph.plan(graph.sum(x), graph.add("add", x, x))
    store = core.Store([], [], "float32")
    session = core.Session(plan, None, store, None, [FLOATS], COUNT, collect=[1])
    session.begin_epoch(0, False)
    session.run(1, np.zeros((1, 1)))
    return lambda: session.collected(1)


def _evaluator() -> Callable[[], Any]:
    """Of one element of a view: what it costs is the look at its input."""
    graph = Graph()
    plan = graph.plan(graph.sum(graph.add("part", graph.input(f32(COUNT)), offset=0, shape=[1])))
    evaluate = core.Evaluator(plan, None, False)
    return lambda: evaluate((FLOATS,), True)


def _store() -> Any:
    return core.Store([("weight", [COUNT])], [], "float32")


def _optimizer() -> Callable[[], Any]:
    store = _store()
    settings = {"momentum": 0.9, "nesterov": 0.0, "weight_decay": 0.0}
    return lambda: core.Optimizer("sgd", [settings], store)


def _shuffled() -> Callable[[], Any]:
    session = _session()
    return lambda: session.begin_epoch(0, True)


FLOATS = np.ones(COUNT, np.float32)
INTEGERS = np.ones(COUNT, np.int64)
# What prepares a call, and gives it.
CALLS: dict[str, Callable[[], Callable[[], Any]]] = {
    "first_not_finite": lambda: lambda: core.first_not_finite(FLOATS, "float32"),
    "first_outside": lambda: lambda: core.first_outside(INTEGERS, 0, 2),
    "permutation": lambda: lambda: core.permutation(COUNT, 0, 0),
    "random_normal": lambda: lambda: core.random_normal([COUNT], 0, 0),
    "evaluator": _evaluator,
    "store": lambda: _store,
    "optimizer": _optimizer,
    "session": lambda: _session,
    "shuffle": _shuffled,
    "collected": _collected,
}


@pytest.mark.parametrize("name", CALLS)
def test_another_thread_goes_on_during_a_long_call(name: str) -> None:
    call = CALLS[name]()
    begin, ran = threading.Lock(), []
    begin.acquire()

    def other() -> None:
        with begin:
            ran.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    begin.release()  # from here on the other thread waits for nothing but the interpreter's lock
    for _ in range(200):  # as often as it takes the system to wake it
        call()
        if ran:
            break
    assert ran, "the lock was never let go"
    thread.join()
