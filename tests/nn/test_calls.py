"""What a module may be called with, and what is said of anything else; layers that no call uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import bpcore as bp
from bpcore import nn

X = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
COLUMNS = {name: X[:, i] for i, name in enumerate("abcd")}


def model() -> nn.Sequential:
    made = nn.Sequential(nn.Dense(3, "relu"), nn.Dense(2))
    made.build(4, seed=1)
    return made


class Wrapped:
    """Something that NumPy can read, as other libraries have it."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values if dtype is None else self.values.astype(dtype)


@pytest.mark.parametrize(
    "given",
    [
        lambda: pd.DataFrame(COLUMNS),
        lambda: pl.DataFrame(COLUMNS),
        lambda: pa.table(COLUMNS),
        lambda: X.tolist(),
        lambda: Wrapped(X),
    ],
)
def test_tables_and_whatever_numpy_reads_are_arrays(given: Callable[[], Any]) -> None:
    made = model()
    expected = made(X)
    np.testing.assert_array_equal(made(given()), expected)
    np.testing.assert_array_equal(made(x=given() if isinstance(given(), (list, Wrapped)) else X), expected)


def test_such_an_object_is_read_anew_at_each_call() -> None:
    made, given = model(), Wrapped(X)
    first = made(given)
    given.values = 2 * X
    np.testing.assert_array_equal(made(given), made(2 * X))
    assert (made(given) != first).any()


def test_a_column_that_is_not_numbers_is_named() -> None:
    with pytest.raises(TypeError, match="^Sequential: column 'b' is not numbers but str"):
        model()(pd.DataFrame({"a": [1.0], "b": ["x"]}))


def test_an_argument_that_is_not_there_is_named() -> None:
    with pytest.raises(TypeError, match=r"^Sequential: there is no argument 'inputs'; known: x$"):
        model()(inputs=X)


# Layers by position


def test_layers_by_position() -> None:
    made = model()
    assert made[0] is made.layers[0]
    assert made[np.int64(-1)] is made.layers[1]
    assert [len(made[:1]), len(made[5:]), len(made[::-1])] == [1, 0, 2]
    np.testing.assert_array_equal(made[1](made[:1](X)), made(X))
    made[0].bias.value[...] = 1  # type: ignore[attr-defined]
    assert (made[:1].parameters["0.bias"] == 1).all()


@pytest.mark.parametrize("at", [2, 9, -3])
def test_there_is_no_such_layer(at: int) -> None:
    with pytest.raises(IndexError, match=f"^Sequential: there is no layer {at}, since it has 2$"):
        model()[at]


@pytest.mark.parametrize("at", ["0", 1.0, True, None])
def test_a_position_is_an_integer(at: Any) -> None:
    with pytest.raises(TypeError, match="^Sequential: the position of a layer must be an integer, got"):
        model()[at]


def test_a_model_is_a_sequence_of_its_layers() -> None:
    made = model()
    assert list(made) == list(made.layers)  # type: ignore[call-overload]


# Layers that no call uses


class Spare(nn.Module):
    def __init__(self, **sizes: int) -> None:
        self.used, self.spare = nn.Dense(2), nn.Dense(5, **sizes)  # type: ignore[arg-type]

    def __call__(self, x: Any) -> Any:
        return self.used(x)


@pytest.mark.parametrize(
    "use",
    [
        lambda module: module(X),
        lambda module: module.build(4),
        lambda module: bp.Trainer(module, "mse").step(X, X[:, :2]),
        lambda module: bp.Trainer(module, "mse").predict(X),
    ],
)
def test_a_layer_that_no_call_uses_is_named(use: Callable[[nn.Module], Any]) -> None:
    says = (
        "^the sizes of spare.weight are not known, since no call uses them: "
        "leave their layer out, or give it its in_features$"
    )
    with pytest.raises(RuntimeError, match=says):
        use(Spare())
    use(Spare(in_features=3))


def test_before_any_call_all_that_is_missing_is_named() -> None:
    with pytest.raises(
        RuntimeError, match=r"^the sizes of used.weight, spare.weight are not known yet: give"
    ):
        _ = Spare().parameters
