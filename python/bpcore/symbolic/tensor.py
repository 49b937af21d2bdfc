"""Symbolic tensors, and the arithmetic that they share with parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import symbolic  # for symbolic.operators, which makes tensors and so is imported after them

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bpcore.symbolic.tracing import Trace

__all__ = ["Operand", "Tensor"]


class Operand:
    """Arithmetic shared by tensors and parameters; all of it elementwise, with NumPy's broadcasting."""

    __array_ufunc__: Any = None  # so that numpy_array + tensor comes to __radd__

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        raise NotImplementedError

    @property
    def dtype(self) -> str:
        """One of "float32", "float64", "int64", "bool"."""
        raise NotImplementedError

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    __hash__ = object.__hash__  # == is elementwise; as keys, tensors are themselves

    def __add__(self, other: Any) -> Any:
        return symbolic.operators.binary("add", self, other)

    def __radd__(self, other: Any) -> Any:
        return symbolic.operators.binary("add", other, self)

    def __sub__(self, other: Any) -> Any:
        return symbolic.operators.binary("subtract", self, other)

    def __rsub__(self, other: Any) -> Any:
        return symbolic.operators.binary("subtract", other, self)

    def __mul__(self, other: Any) -> Any:
        return symbolic.operators.binary("multiply", self, other)

    def __rmul__(self, other: Any) -> Any:
        return symbolic.operators.binary("multiply", other, self)

    def __truediv__(self, other: Any) -> Any:
        return symbolic.operators.binary("divide", self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return symbolic.operators.binary("divide", other, self)

    def __pow__(self, other: Any) -> Any:
        return symbolic.operators.power(self, other)

    def __rpow__(self, other: Any) -> Any:
        return symbolic.operators.power(other, self)

    def __matmul__(self, other: Any) -> Any:
        return symbolic.operators.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return symbolic.operators.matmul(other, self)

    def __neg__(self) -> Any:
        return symbolic.operators.apply("neg", self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return symbolic.operators.apply("abs", self)

    def __eq__(self, other: object) -> Any:
        return symbolic.operators.binary("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return symbolic.operators.binary("not_equal", self, other)

    def __lt__(self, other: Any) -> Any:
        return symbolic.operators.binary("less", self, other)

    def __le__(self, other: Any) -> Any:
        return symbolic.operators.binary("less_equal", self, other)

    def __gt__(self, other: Any) -> Any:
        return symbolic.operators.binary("greater", self, other)

    def __ge__(self, other: Any) -> Any:
        return symbolic.operators.binary("greater_equal", self, other)

    def __and__(self, other: Any) -> Any:
        return symbolic.operators.binary("logical_and", self, other)

    def __rand__(self, other: Any) -> Any:
        return symbolic.operators.binary("logical_and", other, self)

    def __or__(self, other: Any) -> Any:
        return symbolic.operators.binary("logical_or", self, other)

    def __ror__(self, other: Any) -> Any:
        return symbolic.operators.binary("logical_or", other, self)

    def __invert__(self) -> Any:
        return symbolic.operators.apply("logical_not", self)

    def __getitem__(self, key: Any) -> Any:
        return symbolic.operators.getitem(self, key)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    @property
    def T(self) -> Any:
        """The tensor with its axes in reverse order."""
        return symbolic.operators.transpose(self)

    def reshape(self, *shape: Any) -> Any:
        """As `bpcore.ops.reshape`; the shape may be one sequence or several integers."""
        return symbolic.operators.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As `bpcore.ops.transpose`; axes are one sequence, several integers, or none: all reversed."""
        return symbolic.operators.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def astype(self, dtype: Any) -> Any:
        """As `bpcore.ops.cast`."""
        return symbolic.operators.cast(self, dtype)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As `bpcore.ops.sum`."""
        return symbolic.operators.reduce("sum", self, axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As `bpcore.ops.mean`."""
        return symbolic.operators.reduce("mean", self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As `bpcore.ops.max`."""
        return symbolic.operators.reduce("max", self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """As `bpcore.ops.min`."""
        return symbolic.operators.reduce("min", self, axis, keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
        """As `bpcore.ops.var`."""
        return symbolic.operators.variance("var", self, axis, keepdims, ddof)

    def std(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Any:
        """As `bpcore.ops.std`."""
        return symbolic.operators.apply(
            "sqrt", symbolic.operators.variance("std", self, axis, keepdims, ddof)
        )


class Tensor(Operand):
    """A value that a trace will compute: a node of its graph, with a shape and a dtype but no numbers yet."""

    __slots__ = ("_dtype", "_shape", "node", "trace")
    __hash__ = object.__hash__

    def __init__(self, trace: Trace, node: int) -> None:
        self.trace = trace
        self.node = node
        self._shape = trace.graph.shape(node)
        self._dtype = trace.graph.dtype(node)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self._shape

    @property
    def dtype(self) -> str:
        """One of "float32", "float64", "int64", "bool"."""
        return self._dtype

    def __repr__(self) -> str:
        op = self.trace.graph.op(self.node) or "input"
        return f"Tensor(shape={self._shape}, dtype={self._dtype}, op={op})"

    def _no_value(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a symbolic tensor has no value while a function is traced: it can't steer Python's if or while, "
            "or become a number or an array; choose between values with ops.where"
        )

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """What NumPy makes of array + tensor; its other functions know nothing of tensors."""
        op = _OPERATORS.get(ufunc)
        if op is None or method != "__call__" or options:
            raise TypeError(_no_numpy(ufunc.__name__))
        if op == "matmul":
            return symbolic.operators.matmul(*inputs)
        return symbolic.operators.power(*inputs) if op == "power" else symbolic.operators.binary(op, *inputs)

    def __array_function__(
        self, function: Callable[..., Any], _: Any, args: Sequence[Any], options: Mapping[str, Any]
    ) -> Any:
        """The functions that only ask for sizes; others are bpcore.ops' affair."""
        if function in (np.shape, np.ndim, np.size) and len(args) == 1 and not options:
            return getattr(self, function.__name__)
        raise TypeError(_no_numpy(function.__name__))

    __bool__ = __float__ = __int__ = __index__ = __complex__ = __array__ = _no_value


# The functions that NumPy calls for an array, or a number of its own, on the left of an operator.
_OPERATORS = {
    np.add: "add",
    np.subtract: "subtract",
    np.multiply: "multiply",
    np.true_divide: "divide",
    np.power: "power",
    np.matmul: "matmul",
    np.equal: "equal",
    np.not_equal: "not_equal",
    np.less: "less",
    np.less_equal: "less_equal",
    np.greater: "greater",
    np.greater_equal: "greater_equal",
    np.bitwise_and: "logical_and",
    np.bitwise_or: "logical_or",
}


def _no_numpy(name: str) -> str:
    return f"numpy.{name} needs numbers, which a symbolic tensor doesn't have yet; use what bpcore.ops offers"
