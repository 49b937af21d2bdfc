"""What data may look like: the same numbers give the same bits, in whatever array or list they come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim
from bpcore._native import core
from tests.training.problems import bits, blobs, network


def _trained(x: Any, y: Any, dtype: str = "float32", **options: Any) -> bytes:
    trainer = bp.Trainer(network(6, 3), "cross_entropy", optim.Adam(0.01), dtype=dtype)
    trainer.fit(x, y, epochs=2, batch_size=20, progress=False, **options)
    return bits(trainer)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "kind", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16"]
)
def test_input_of_any_numeric_dtype_is_converted_for_dense_layers(kind: str, dtype: str) -> None:
    _, y = blobs()
    x = np.random.default_rng(0).integers(0, 2 if kind == "bool" else 100, (len(y), 4)).astype(kind)
    assert _trained(x, y, dtype) == _trained(x.astype(dtype), y, dtype)


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "uint64"])
def test_labels_of_any_integer_dtype(kind: str) -> None:
    x, y = blobs()
    assert _trained(x, y.astype(kind)) == _trained(x, y)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.tolist(),
        lambda x: [row.tolist() for row in x],
        lambda x: list(x),
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        lambda x: x.astype(x.dtype.newbyteorder(">")),
        lambda x: x.astype(np.float64),
    ],
    ids=["list", "rows", "list of arrays", "column-major", "strided", "backwards", "big-endian", "float64"],
)
def test_layout_and_container_do_not_matter(change: Callable[[np.ndarray], Any], shuffle: bool) -> None:
    x, y = blobs()
    assert _trained(change(x), y, shuffle=shuffle) == _trained(x, y, shuffle=shuffle)


def test_float64_data_is_rounded_as_numpy_rounds() -> None:
    _, y = blobs()
    x = np.random.default_rng(3).normal(size=(len(y), 4))
    assert _trained(x, y) == _trained(x.astype(np.float32), y)


def test_float32_data_in_a_float64_trainer() -> None:
    x, y = blobs()
    assert _trained(x, y, "float64") == _trained(x.astype(np.float64), y, "float64")


def test_labels_and_targets_may_be_lists() -> None:
    x, y = blobs()
    assert _trained(x, y.tolist()) == _trained(x, y)


def test_read_only_data_is_enough_and_data_is_never_written_to() -> None:
    x, y = blobs()
    expected = _trained(x, y)
    x.flags.writeable = y.flags.writeable = False
    assert _trained(x, y) == expected


def test_data_may_be_a_memory_map(tmp_path: Any) -> None:
    x, y = blobs()
    np.save(tmp_path / "x.npy", x)
    assert _trained(np.load(tmp_path / "x.npy", mmap_mode="r"), y) == _trained(x, y)


def test_step_takes_what_fit_takes() -> None:
    x, y = blobs(20)
    trained = set()
    for batch in (
        (x, y),
        (x.tolist(), y.tolist()),
        (x.astype(np.float64), y.astype(np.uint8)),
        (np.asfortranarray(x), y),
    ):
        trainer = bp.Trainer(network(6, 3), "cross_entropy")
        for _ in range(3):
            trainer.step(*batch)
        trained.add(bits(trainer))
    assert len(trained) == 1


def test_predict_and_evaluate_take_what_fit_takes() -> None:
    x, y = blobs()
    trainer = bp.Trainer(network(6, 3), "cross_entropy", metrics=["accuracy"])
    trainer.fit(x, y, epochs=1, progress=False)
    for same in (x.tolist(), x.astype(np.float64), np.asfortranarray(x), x.astype(">f4")):
        np.testing.assert_array_equal(trainer.predict(same), trainer.predict(x))
        assert trainer.evaluate(same, y.tolist()) == trainer.evaluate(x, y)


def test_samples_of_several_axes() -> None:
    """Dense works on the last axis; cross-entropy's integer labels may have leading axes, as tokens have."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(10, 5, 4)).astype(np.float32), rng.integers(0, 3, (10, 5))
    trainer = bp.Trainer(network(8, 3), "cross_entropy", metrics=["accuracy"])
    history = trainer.fit(x, y, epochs=60, batch_size=4, progress=False)
    assert history["loss"][-1] < history["loss"][0]
    prediction = trainer.predict(x)
    assert prediction.shape == (10, 5, 3)
    assert trainer.evaluate(x, y)["accuracy"] == pytest.approx((prediction.argmax(-1) == y).mean())


def test_one_value_a_sample_may_lack_its_axis() -> None:
    """x of shape (n,) is not a matrix; y of shape (n,) goes with a model of one output."""
    x, y = np.linspace(-1, 1, 20)[:, None], np.linspace(-1, 1, 20) ** 2
    flat, deep = (bp.Trainer(network(4, 1), "mse", dtype="float64") for _ in range(2))
    flat.fit(x, y, epochs=2, progress=False)
    deep.fit(x, y[:, None], epochs=2, progress=False)
    assert bits(flat) == bits(deep)


def test_a_model_of_two_inputs() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            self.left, self.right = nn.Dense(3), nn.Dense(3, use_bias=False)

        def __call__(self, a: Any, b: Any) -> Any:
            return self.left(a) + self.right(b)

    x, y = blobs()
    a, b = x[:, :1], x[:, 1:]
    trainer = bp.Trainer(Two(), "cross_entropy", optim.Adam(0.05), metrics=["accuracy"])
    trainer.fit((a, b), y, epochs=20, validation_data=((a, b), y), progress=False)
    assert trainer.evaluate((a, b), y)["accuracy"] > 0.97
    parameters = trainer.parameters
    expected = a @ parameters["left.weight"] + parameters["left.bias"] + b @ parameters["right.weight"]
    np.testing.assert_allclose(trainer.predict((a, b)), expected, rtol=1e-4, atol=1e-5)


def test_arrays_that_are_not_aligned_are_copied() -> None:
    x, y = blobs(20)
    shifted = np.frombuffer(b"\0" + x.tobytes(), dtype=x.dtype, offset=1).reshape(x.shape)
    assert not shifted.flags.aligned
    losses = []
    for each in (x, shifted):
        model = network(3, in_features=x.shape[1])
        losses.append(
            bp.Trainer(model, "cross_entropy", optim.SGD(0.1)).fit(each, y, epochs=2, progress=False)["loss"]
        )
    assert losses[0] == losses[1]


def test_bool_inputs_take_every_number_but_zero_as_true() -> None:
    graph = core.Graph()
    mask = graph.input((2,), "bool")
    count = graph.add(
        "sum", [graph.add("cast", [mask], {"dtype": "float32"})], {"axes": [0], "keepdims": False}
    )
    plan, store = core.Plan(graph, [count]), core.Store([], [], "float32")
    for values in (np.array([2, 0], "uint8"), np.array([256, 0], "int32"), np.array([0.5, 0], "float32")):
        session = core.Session(plan, None, store, None, [values], 2)
        session.run(1, np.zeros(1))
        assert session.totals.tolist() == [1]
