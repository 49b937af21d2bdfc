"""Tables and columns of pandas, Arrow and polars, and arrays of other libraries, are arrays of numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import optim
from tests.training.problems import bits, network

pd: Any = pytest.importorskip("pandas")
pa: Any = pytest.importorskip("pyarrow")
pl: Any = pytest.importorskip("polars")

ROWS = 30
_rng = np.random.default_rng(0)
COLUMNS: dict[str, Any] = {
    "age": _rng.integers(0, 90, ROWS).astype(np.int16),
    "member": _rng.random(ROWS) < 0.5,
    "income": _rng.normal(size=ROWS),
    "size": _rng.normal(size=ROWS).astype(np.float32),
}
X = np.stack([column.astype(np.float64) for column in COLUMNS.values()], axis=1)
Y = _rng.integers(0, 3, ROWS)


def trained(x: Any, y: Any, loss: str = "cross_entropy", outputs: int = 3) -> bytes:
    trainer = bp.Trainer(network(6, outputs), loss, optim.Adam(0.01))
    trainer.fit(x, y, epochs=2, batch_size=8, validation_data=(x, y), progress=False)
    trainer.evaluate(x, y)
    return bits(trainer) + trainer.predict(x).tobytes()


NULLABLE = {"age": "Int16", "member": "boolean", "income": "Float64", "size": "Float32"}
TABLES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(COLUMNS),
    "pandas with an index": lambda: pd.DataFrame(COLUMNS, index=list(range(ROWS))[::-1]),
    "pandas with two columns of one name": lambda: pd.DataFrame(X, columns=["a", "b", "a", "c"]),
    "pandas, nullable": lambda: pd.DataFrame(COLUMNS).astype(NULLABLE),
    "pandas over Arrow": lambda: pd.DataFrame(COLUMNS).convert_dtypes(dtype_backend="pyarrow"),
    "an Arrow table": lambda: pa.table(COLUMNS),
    "an Arrow table in chunks": lambda: pa.concat_tables([pa.table(COLUMNS)[:7], pa.table(COLUMNS)[7:]]),
    "an Arrow batch": lambda: pa.RecordBatch.from_pydict(COLUMNS),
    "polars": lambda: pl.DataFrame(COLUMNS),
}
LABELS: dict[str, Callable[[], Any]] = {
    "a Series": lambda: pd.Series(Y, index=range(100, 100 + ROWS)),
    "a nullable Series": lambda: pd.Series(Y, dtype="Int8"),
    "a frame of one column": lambda: pd.DataFrame({"y": Y}),
    "an Arrow array": lambda: pa.array(Y),
    "an Arrow array in chunks": lambda: pa.chunked_array([Y[:4], Y[4:]]),
    "an Arrow table of one column": lambda: pa.table({"y": Y}),
    "a polars Series": lambda: pl.Series(Y),
    "a polars frame of one column": lambda: pl.DataFrame({"y": Y}),
}


@pytest.mark.parametrize("table", TABLES)
def test_columns_of_several_dtypes_make_one_array(table: str) -> None:
    assert trained(TABLES[table](), Y) == trained(X, Y)


@pytest.mark.parametrize("labels", LABELS)
def test_a_column_or_a_table_of_one_is_a_target(labels: str) -> None:
    assert trained(X, LABELS[labels]()) == trained(X, Y)


@pytest.mark.parametrize("labels", LABELS)
def test_a_target_of_one_column_fits_an_output_of_width_1(labels: str) -> None:
    assert trained(X, LABELS[labels](), "mse", 1) == trained(X, Y[:, None], "mse", 1)


def test_a_table_is_one_of_several_inputs() -> None:
    def objective(model: Any, x: Any, weights: Any) -> Any:
        return (model(x)[:, 0] * weights).mean()

    found = set()
    for inputs in (
        (X, X[:, 2]),
        (TABLES["pandas"](), pd.Series(X[:, 2])),
        (TABLES["polars"](), pa.array(X[:, 2])),
        {"x": TABLES["an Arrow table"](), "weights": pl.Series(X[:, 2])},
    ):
        trainer = bp.Trainer(network(2), objective=objective)
        trainer.fit(inputs, epochs=1, progress=False)
        found.add(bits(trainer))
    assert len(found) == 1


def test_a_batch_may_be_of_tables() -> None:
    frame, labels = TABLES["pandas"](), pd.Series(Y)
    batches = [(frame[i : i + 8], labels[i : i + 8]) for i in range(0, ROWS, 8)]
    trainer = bp.Trainer(network(6, 3), "cross_entropy", optim.Adam(0.01))
    trainer.fit(lambda: iter(batches), epochs=2, progress=False)
    same = bp.Trainer(network(6, 3), "cross_entropy", optim.Adam(0.01))
    same.fit(X, Y, epochs=2, batch_size=8, shuffle=False, progress=False)
    assert bits(trainer) == bits(same)


def _with(name: str, values: Any) -> Any:
    return pd.DataFrame(COLUMNS).assign(**{name: values})


WORDS = ["a", "b", "c"] * (ROWS // 3)
HOLES = [None, *range(ROWS - 1)]
DAYS = pd.date_range("2020-01-01", periods=ROWS)
KINDS = pd.Categorical([1, 2, 3] * (ROWS // 3))
REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "strings": (lambda: _with("name", WORDS), TypeError, "column 'name' is not numbers but"),
    "objects": (
        lambda: _with("name", np.array(WORDS, object)), TypeError, "column 'name' is not numbers but",
    ),
    "categories": (
        lambda: _with("kind", KINDS), TypeError, "'kind' is categorical",
    ),
    "dates": (
        lambda: _with("day", DAYS), TypeError, "not numbers but datetime",
    ),
    "missing integers": (
        lambda: _with("n", pd.array(HOLES, dtype="Int64")), ValueError, "column 'n' has 1 missing values",
    ),
    "missing values of Arrow": (
        lambda: pa.table({**COLUMNS, "n": HOLES}), ValueError, "column 'n' has 1 missing values",
    ),
    "strings of Arrow": (lambda: pa.table({"w": WORDS}), TypeError, "column 'w' is not numbers but string"),
    "a dictionary of Arrow": (
        lambda: pa.table({"w": pa.array(WORDS).dictionary_encode()}), TypeError, "'w' is categorical",
    ),
    "lists of Arrow": (lambda: pa.table({"w": [[1], [2, 3], []] * (ROWS // 3)}), TypeError, "is not numbers"),
    "missing values of polars": (
        lambda: pl.DataFrame({"n": HOLES}), ValueError, "column 'n' has 1 missing values",
    ),
    "strings of polars": (lambda: pl.DataFrame({"w": WORDS}), TypeError, "column 'w' is not numbers"),
    "categories of polars": (
        lambda: pl.DataFrame({"w": pl.Series(WORDS, dtype=pl.Categorical)}),
        TypeError, "'w' is categorical",
    ),
    "arrays of polars": (
        lambda: pl.DataFrame({"w": pl.Series(X.tolist(), dtype=pl.Array(pl.Float64, 4))}),
        TypeError, "'w' holds lists",
    ),
    "no columns": (lambda: pd.DataFrame(index=range(ROWS)), ValueError, "has no columns"),
    "NaN": (lambda: _with("size", [np.nan] * ROWS), ValueError, "x[0, 3] is nan"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_columns_are_refused_by_name(name: str) -> None:
    make, error, message = REFUSED[name]
    with pytest.raises(error) as caught:
        trained(make(), Y)
    assert message in str(caught.value)
    assert str(caught.value).startswith("fit: x")


@pytest.mark.parametrize(
    "make", [lambda: pd.Series(WORDS), lambda: pa.array(WORDS), lambda: pl.Series(WORDS)]
)
def test_a_column_of_words_is_refused(make: Any) -> None:
    with pytest.raises(TypeError, match="fit: y is not numbers but"):
        trained(X, make())
