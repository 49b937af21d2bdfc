"""Arrays with one row a sample."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bpcore._native import core
from bpcore.basics.arrays import Array, as_numbers, is_sparse
from bpcore.basics.tables import from_table
from bpcore.intake.groups import Group, put_together
from bpcore.intake.mapped import check_layout, is_mapped
from bpcore.symbolic.sparse import SparseMatrix, as_matrix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bpcore.intake.groups import Keys

__all__ = ["Call", "Samples", "Signature", "check_finite", "samples"]

# The graph's dtype for each kind of NumPy dtype but floats, which take the model's.
_KINDS = {"b": "bool", "i": "int64", "u": "int64"}


class Call(NamedTuple):
    """A batch as a model and its losses see it: inputs by position or by name, targets together, weights.

    `weights` are by the places or names of outputs, by None for one that is for all.
    """

    inputs: tuple[Any, ...]
    named: dict[str, Any]
    target: Any
    weights: dict[int | str | None, Any]

    def given_to(self, model: Callable[..., Any]) -> Any:
        """What `model` makes of the inputs; TypeError, which says what it takes, where that isn't so many.

        A ValueError of the model's says, too, where the inputs have no features, only samples.
        """
        try:
            return model(*self.inputs, **self.named)
        except TypeError:
            parameters = inspect.signature(model)
            try:
                parameters.bind(*self.inputs, **self.named)
            except TypeError:
                takes, count = ", ".join(parameters.parameters), len(self.inputs) + len(self.named)
                raise TypeError(f"the model takes ({takes}), but x has {count} inputs") from None
            raise
        except ValueError as error:
            given = [*self.inputs, *self.named.values()]
            if any(each.ndim != 1 for each in given):
                raise
            raise ValueError(
                f"{error}; x has the shape (samples,), here of {given[0].shape[0]} samples: x[:, None] is "
                "one feature a sample, x[None] is one sample"
            ) from error

    def weight(self, output: int | str | None) -> Any:
        """The weights of samples in the loss and metrics of an output; None without."""
        return self.weights.get(output, self.weights.get(None))


class Signature(NamedTuple):
    """What a plan depends on: rows of a batch, shapes of a row and dtypes in the graph, what they are for.

    Of a sparse matrix also the capacity, see `sparse.symbolic`.
    """

    rows: int
    arrays: tuple[tuple[Any, ...], ...]
    target: bool
    weighted: bool
    inputs: Keys = None
    outputs: Keys = None
    weights: Keys = None

    def call(self, values: Sequence[Any]) -> Call:
        """`values`, one for each array, in their places."""
        inputs, targets, weights = _parted(self, values)
        together = put_together(self.inputs, inputs) if self.inputs else tuple(inputs)
        return Call(
            () if isinstance(together, dict) else together,
            together if isinstance(together, dict) else {},
            put_together(self.outputs, targets) if self.target else None,
            _by_key(self.weights, weights) if weights else {},
        )

    def specs(self) -> list[tuple[Any, ...]]:
        """What `sparse.symbolic` makes each input of a plan for these batches of."""
        return [((self.rows, *shape), *rest) for shape, *rest in self.arrays]


class Samples(NamedTuple):
    """Arrays with one row a sample: a model's inputs, then the targets and the weights where there are any.

    `inputs`, `outputs` and `weights` tell several of a kind apart. With `selected`, only these rows of the
    arrays are the samples, in this order. `by_batch`: NaN and infinity are to be looked for in each batch,
    before its step.
    """

    arrays: tuple[Any, ...]  # NumPy's, but for inputs that are `SparseMatrix`
    names: tuple[str, ...]
    target: bool
    weighted: bool
    inputs: Keys = None
    outputs: Keys = None
    weights: Keys = None
    selected: Array | None = None
    by_batch: bool = False

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(self.arrays[0]) if self.selected is None else len(self.selected)

    def chosen(self, array: Any) -> Any:
        """The rows of `array`, one for each of these arrays, that are samples; a copy if not all are."""
        return array if self.selected is None else array[self.selected]

    @property
    def targets(self) -> dict[int | str | None, Array]:
        """Place or name of an output, None for one alone -> its target, all rows, where there are any."""
        return _by_key(self.outputs, _parted(self, self.arrays)[1]) if self.target else {}

    @property
    def weight(self) -> Array | None:
        """The weights of all rows, where there are any for all outputs."""
        return self.arrays[-1] if self.weighted and self.weights is None else None

    def native(self) -> list[Any]:
        """What a native session takes for the arrays, one entry for each input of its plan."""
        return [
            part
            for array in self.arrays
            for part in (array.native() if isinstance(array, SparseMatrix) else [array])
        ]

    def weighted_by(self, weight: Array) -> Samples:
        """The same samples with other weights for all outputs."""
        if self.weight is not None:
            return self._replace(arrays=(*self.arrays[:-1], weight))
        return self._replace(
            arrays=(*self.arrays, weight), names=(*self.names, "sample_weight"), weighted=True
        )

    def native_names(self) -> list[str]:
        """The names of the arrays by entries of `native`."""
        return [
            name
            for array, name in zip(self.arrays, self.names, strict=True)
            for _ in range(3 if isinstance(array, SparseMatrix) else 1)
        ]

    def signature(self, rows: int, dtype: str) -> Signature:
        """What a plan for batches of `rows` depends on, in a model of `dtype`."""
        kinds = tuple(
            (array.shape[1:], dtype, array.capacity(rows))
            if isinstance(array, SparseMatrix)
            else (array.shape[1:], _KINDS.get(array.dtype.kind, dtype))
            for array in self.arrays
        )
        return Signature(rows, kinds, self.target, self.weighted, self.inputs, self.outputs, self.weights)

    def slice(self, begin: int, end: int) -> Samples:
        """The samples from row `begin` of the arrays to before row `end`, or to the last."""
        return self._replace(arrays=tuple(array[begin:end] for array in self.arrays))

    def split(self, at: int) -> tuple[Samples, Samples]:
        """The samples before row `at` and those from it on."""
        return self.slice(0, at), self.slice(at, len(self.arrays[0]))


def _parted(form: Signature | Samples, values: Sequence[Any]) -> tuple[Sequence[Any], ...]:
    """`values`, one for each array, as inputs, targets and weights."""
    targets = 0 if not form.target else 1 if form.outputs is None else len(form.outputs)
    weights = 0 if not form.weighted else 1 if form.weights is None else len(form.weights)
    end = len(values) - weights
    return values[: end - targets], values[end - targets : end], values[end:]


def _by_key(keys: Keys, values: Sequence[Any]) -> dict[int | str | None, Any]:
    return dict(zip((None,) if keys is None else keys, values, strict=True))


def samples(
    who: str,
    inputs: Group,
    target: Group | None,
    weight: Group | None,
    dtype: str,
    check_finite: bool,
    *,
    one_of_many: bool = False,
) -> Samples:
    """The arrays of a call, all with the same number of rows.

    Memory maps are looked at for NaN and infinity later, batch by batch, unless this is a batch already,
    `one_of_many`, whose weights may also be all zero.

    Raises TypeError for what isn't numbers, ValueError for ragged or empty data, different lengths, NaN and
    infinity (unless `check_finite` is False), values that overflow `dtype`, and weights that are negative,
    all zero, or not one a sample.
    """
    if not inputs.values:
        raise TypeError(f"{who}: no input was given")
    parts = list(inputs.values)
    names = _names(inputs, "x", "input ")
    if target is not None:
        parts += target.values
        names += _names(target, "y", "target ")
    if weight is not None:
        parts += weight.values
        names += _names(weight, "sample_weight", "sample_weight ")
    arrays: list[Any] = [
        as_matrix(part, f"{who}: {name}")
        if number < len(inputs.values) and is_sparse(part)
        else _rows(part, f"{who}: {name}", flat=number >= len(inputs.values))
        for number, (part, name) in enumerate(zip(parts, names, strict=True))
    ]
    for array, name in zip(arrays, names, strict=True):
        if len(array) != len(arrays[0]):
            raise ValueError(f"{who}: {names[0]} has {len(arrays[0])} samples, {name} has {len(array)}")
        if array.dtype.kind == "f" and (one_of_many or not is_mapped(array)):
            _check_values(array, f"{who}: {name}", dtype, check_finite)
    if weight is not None:
        for i in range(len(arrays) - len(weight.values), len(arrays)):
            arrays[i] = _check_weights(arrays[i], f"{who}: {names[i]}", dtype, some=not one_of_many)
    return Samples(
        tuple(arrays),
        tuple(names),
        target is not None,
        weight is not None,
        inputs.keys,
        None if target is None else target.keys,
        None if weight is None else weight.keys,
        by_batch=check_finite and not one_of_many and any(map(is_mapped, arrays)),
    )


def check_finite(who: str, data: Samples, dtype: str) -> None:
    """ValueError for NaN, infinity, or what overflows `dtype`, in any of the arrays."""
    for array, name in zip(data.arrays, data.names, strict=True):
        if array.dtype.kind == "f":
            _check_values(array, f"{who}: {name}", dtype, True)


def _names(group: Group, argument: str, place: str) -> list[str]:
    """What messages call the arrays of `group`: one alone goes by the `argument`."""
    if group.keys in (None, (0,)):
        return [argument]
    return [f"{argument}[{key!r}]" if isinstance(key, str) else f"{place}{key}" for key in group.keys or ()]


def _rows(value: Any, who: str, *, flat: bool) -> Array:
    """`value` as an array; `flat`: a table of one column is a vector."""
    table = from_table(value, who)
    if table is None:
        check_layout(value, who)
    elif flat and table.shape[1:] == (1,):
        table = table[:, 0]
    array = as_numbers(value if table is None else table, who)
    if array.ndim == 0:
        raise ValueError(f"{who} must have one row a sample, got a single number")
    if array.size == 0:
        raise ValueError(f"{who} is empty: its shape is {array.shape}")
    return array


def _check_values(array: Any, who: str, dtype: str, check_finite: bool) -> None:
    values: Array = array.values if isinstance(array, SparseMatrix) else array
    at = core.first_not_finite(values, dtype)
    if at >= 0 and not check_finite:  # NaN and infinity are allowed, to become infinite is not
        large = np.isfinite(values) & (np.abs(values) > np.finfo(dtype).max)
        at = int(np.argmax(large)) if large.any() else -1
    if at < 0:
        return
    indices = array.place(at) if isinstance(array, SparseMatrix) else np.unravel_index(at, array.shape)
    place = f"{who}[{', '.join(str(i) for i in indices)}]"
    value = values.flat[at]
    if np.isfinite(value):
        raise ValueError(f"{place} is {value}, which overflows {dtype}")
    raise ValueError(f"{place} is {value}; clean the data, or allow it by check_finite=False")


def _check_weights(weight: Array, who: str, dtype: str, *, some: bool) -> Array:
    if weight.ndim != 1:
        raise ValueError(f"{who} must have shape (samples,), got {weight.shape}")
    if (weight < 0).any() or (some and not (weight > 0).any()):
        raise ValueError(f"{who} must be at least 0{', and above 0 somewhere' if some else ''}")
    return weight if weight.dtype.kind == "f" else weight.astype(dtype)
