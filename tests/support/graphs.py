"""The core's graph in few words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bpcore._native import core

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]
    Type = tuple[tuple[int, ...], str]


def f32(*shape: int) -> Type:
    return shape, "float32"


def f64(*shape: int) -> Type:
    return shape, "float64"


def i64(*shape: int) -> Type:
    return shape, "int64"


def boolean(*shape: int) -> Type:
    return shape, "bool"


class Graph:
    """A graph whose nodes are added by name: ``graph.add("sum", x, axes=[0], keepdims=False)``."""

    def __init__(self) -> None:
        self.core = core.Graph()

    def __len__(self) -> int:
        return len(self.core)

    def input(self, type_: Type) -> int:
        return self.core.input(*type_)

    def constant(self, array: Array) -> int:
        return self.core.constant(array)

    def add(self, op: str, *inputs: int, **attributes: Any) -> int:
        return self.core.add(op, list(inputs), attributes)

    def sum(self, node: int) -> int:
        """The sum of all elements."""
        return self.add("sum", node, axes=list(range(len(self.core.shape(node)))), keepdims=False)

    def type(self, node: int) -> Type:
        return self.core.shape(node), self.core.dtype(node)

    def plan(self, *outputs: int, training: bool = False) -> Any:
        return core.Plan(self.core, list(outputs), [], training)

    def run(self, outputs: Sequence[int], *inputs: Array) -> list[Array]:
        return self.plan(*outputs).run(None, list(inputs))


def infer(op: str, *types: Type, **attributes: Any) -> Type:
    """Shape and dtype of an op of inputs of these types."""
    graph = Graph()
    return graph.type(graph.add(op, *(graph.input(type_) for type_ in types), **attributes))
