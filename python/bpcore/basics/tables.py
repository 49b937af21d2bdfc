"""Tables and columns of pandas, Arrow and polars as arrays, told by their methods: nothing is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["from_table"]


def from_table(value: Any, who: str) -> Array | None:
    """The array of a table's columns, (rows, columns), or of a column, (rows,); None for anything else.

    Columns of several dtypes take the one that holds all of them, as NumPy promotes. TypeError for a column
    that isn't numbers, ValueError for one with missing values, unless they are NaN.
    """
    if isinstance(value, np.ndarray):
        return None
    columns = _columns(value)
    if columns is None:
        return _column(value, who) if _is_column(value) else None
    if not columns:
        raise ValueError(f"{who} has no columns")
    arrays = [_column(column, f"{who}: column {name!r}") for name, column in columns]
    odd = next((i for i, array in enumerate(arrays) if array.shape != (len(value),)), None)
    if odd is not None:
        raise TypeError(
            f"{who}: column {columns[odd][0]!r} holds lists; give it as an array of its own, in a tuple "
            "of inputs"
        )
    table = np.empty((len(value), len(arrays)), np.result_type(*(array.dtype for array in arrays)))
    for i, array in enumerate(arrays):
        table[:, i] = array
    return table


def _columns(value: Any) -> list[tuple[Any, Any]] | None:
    """Names and columns of a table."""
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas
        return [(name, value.iloc[:, i]) for i, name in enumerate(value.columns)]
    if hasattr(value, "get_columns"):  # polars
        return [(column.name, column) for column in value.get_columns()]
    if hasattr(value, "column_names") and hasattr(value, "columns"):  # Arrow
        return list(zip(value.column_names, value.columns, strict=True))
    return None


def _is_column(value: Any) -> bool:
    return hasattr(value, "to_numpy") and (
        hasattr(value, "iloc") or hasattr(value, "null_count") or hasattr(value, "isna")
    )


def _column(column: Any, who: str) -> Array:
    kind = getattr(column, "dtype", None)
    kind = getattr(column, "type", None) if kind is None else kind
    if str(kind) == "category" or str(kind).startswith(("Categorical", "Enum", "dictionary")):
        raise TypeError(f"{who} is categorical; give its codes, or a column of 0 and 1 for each category")
    missing = _missing(column, kind)
    if missing:
        raise ValueError(f"{who} has {missing} missing values; fill them in, or leave these rows out")
    array = np.asarray(column)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{who} is not numbers but {kind}; leave it out or turn it into numbers")
    return array


def _missing(column: Any, kind: Any) -> int:
    """How many values are missing, rather than NaN."""
    if hasattr(column, "null_count"):
        count = column.null_count
        return int(count() if callable(count) else count)
    if isinstance(kind, np.dtype) or not hasattr(column, "isna"):
        return 0  # of a NumPy dtype: NaN is among its numbers
    return int(column.isna().sum())
