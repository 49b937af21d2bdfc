"""Flat buffers: aligned tensors, zero padding, views without copies that keep the store alive."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from bpcore import optim
from bpcore._native import core
from tests.support.draw import normal

TENSORS = [("weight", (3, 5)), ("bias", (5,)), ("scale", ()), ("nothing", (0, 4)), ("long", (1000,))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tensors_are_aligned_zero_at_first_and_do_not_overlap(dtype: str) -> None:
    store = core.Store(TENSORS, TENSORS[:2], dtype)
    assert store.dtype == dtype
    for flat, view in ((store.flat_parameters, store.parameter), (store.flat_states, store.state)):
        assert flat.dtype == dtype
        assert flat.ctypes.data % 64 == 0
        assert not flat.any()
        end = flat.ctypes.data
        for slot, (_, shape) in enumerate(TENSORS if view == store.parameter else TENSORS[:2]):
            tensor = view(slot)
            assert (tensor.shape, tensor.dtype) == (shape, dtype)
            if tensor.size:
                assert tensor.ctypes.data % 64 == 0
                assert tensor.ctypes.data >= end
                end = tensor.ctypes.data + tensor.nbytes
        assert end <= flat.ctypes.data + flat.nbytes


def test_views_show_the_buffer_itself() -> None:
    store = core.Store(TENSORS, TENSORS, "float64")
    store.parameter(1)[...] = 7
    np.testing.assert_array_equal(store.parameter(1), [7] * 5)
    assert np.shares_memory(store.parameter(1), store.flat_parameters)
    assert store.parameter(0).flags.writeable
    assert store.flat_parameters.flags.writeable
    assert store.flat_parameters.sum() == 35
    assert store.flat_states.sum() == 0


def test_padding_stays_zero_through_training() -> None:
    graph = core.Graph()
    shapes = [(3, 5), (5,)]
    w, b = (graph.parameter(slot, shape, "float32", "wb"[slot]) for slot, shape in enumerate(shapes))
    x = graph.input((4, 3), "float32")
    y = graph.add("dense", [x, w, b], {"activation": "tanh"})
    loss = graph.add("sum", [graph.add("exp", [y], {})], {"axes": [0, 1], "keepdims": False})
    gradients = list(enumerate(graph.gradients(loss, [w, b])))
    store = core.Store([("w", shapes[0]), ("b", shapes[1])], [], "float32")
    optimizer = core.Optimizer("adam", [optim.Adam(weight_decay=0.1).hyper()], store)
    session = core.Session(
        core.Plan(graph, [loss], gradients, True), None, store, optimizer, [normal((8, 3))], 4
    )
    session.begin_epoch(0, True)
    assert session.run(2, np.full(2, 0.1)) == 2
    buffers = {"parameters": store.flat_parameters, "gradients": optimizer.flat_gradients, **optimizer.slots}
    for name, flat in buffers.items():
        used = np.zeros(flat.size, bool)
        for slot in (0, 1):
            start = (store.parameter(slot).ctypes.data - store.flat_parameters.ctypes.data) // flat.itemsize
            used[start : start + store.parameter(slot).size] = True
        assert flat[used].all(), name
        assert not flat[~used].any(), name


def test_views_keep_the_store_alive() -> None:
    store = core.Store([("w", (100_000,))], [("s", (10,))], "float64")
    views = [store.parameter(0), store.flat_parameters, store.state(0), store.flat_states]
    views[0][...] = 3
    del store
    gc.collect()
    others = [core.Store([("w", (100_000,))], [], "float64") for _ in range(5)]
    for other in others:
        other.parameter(0)[...] = 9
    np.testing.assert_array_equal(views[0], np.full(100_000, 3.0))
    np.testing.assert_array_equal(views[1], views[0])


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(TypeError, match="^store: dtype must be float32 or float64, not int64"):
        core.Store([], [], "int64")
    store = core.Store(TENSORS, [], "float64")
    for slot in (-1, 5):
        with pytest.raises(ValueError, match=f"^store: there is no slot {slot}"):
            store.parameter(slot)
    with pytest.raises(ValueError, match="^store: there is no slot 0"):
        store.state(0)


def _plan(shape: tuple[int, ...], dtype: str, slot: int = 0) -> core.Plan:
    graph = core.Graph()
    return core.Plan(graph, [graph.add("exp", [graph.parameter(slot, shape, dtype, "w")], {})])


def test_plan_refuses_a_store_that_does_not_fit() -> None:
    store = core.Store([("w", (2, 3))], [], "float64")
    np.testing.assert_array_equal(_plan((2, 3), "float64").run(store, [])[0], np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"w has shape \(2, 3\) .* \(3, 2\)"):
        _plan((3, 2), "float64").run(store, [])
    with pytest.raises(ValueError, match=r"w has shape \(2, 3\) and dtype float64 .* float32"):
        _plan((2, 3), "float32").run(store, [])
    with pytest.raises(ValueError, match="no slot 1"):
        _plan((2, 3), "float64", slot=1).run(store, [])
    with pytest.raises(RuntimeError, match="needs a store"):
        _plan((2, 3), "float64").run(None, [])


def test_values_written_through_a_view_are_seen_by_the_next_run() -> None:
    store, plan = core.Store([("w", (3,))], [], "float64"), _plan((3,), "float64")
    for value in (1.0, 2.0):
        store.parameter(0)[...] = value
        np.testing.assert_allclose(plan.run(store, [])[0], np.exp([value] * 3))
