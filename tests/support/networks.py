"""Dense networks as graphs, for tests of plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bpcore._native import core
from tests.support.draw import normal

if TYPE_CHECKING:
    from collections.abc import Sequence


class Network:
    """x (batch, sizes[0]) → logits (batch, sizes[-1]) → mean cross-entropy with labels (batch,)."""

    def __init__(self, sizes: Sequence[int], batch: int, activation: str = "relu", dtype: str = "float32"):
        self.graph = graph = core.Graph()
        self.tensors = [
            tensor
            for i, shape in enumerate((sizes[k], sizes[k + 1]) for k in range(len(sizes) - 1))
            for tensor in ((f"{i}.weight", shape), (f"{i}.bias", shape[1:]))
        ]
        self.parameters = [
            graph.parameter(slot, shape, dtype, name) for slot, (name, shape) in enumerate(self.tensors)
        ]
        self.x = graph.input((batch, sizes[0]), dtype, "x")
        self.labels = graph.input((batch,), "int64", "labels")
        self.layers = []
        value = self.x
        last = len(sizes) - 2
        for i in range(len(sizes) - 1):
            product = graph.add("matmul", [value, self.parameters[2 * i]], {})
            value = graph.add("add", [product, self.parameters[2 * i + 1]], {})
            value = value if i == last else graph.add(activation, [value], {})
            self.layers.append(value)
        self.logits = value
        losses = graph.add("cross_entropy", [value, self.labels], {})
        self.loss = graph.add("mean", [losses], {"axes": [0], "keepdims": False})
        self.gradients = graph.gradients(self.loss, self.parameters)
        self.dtype = dtype

    def training_plan(self) -> core.Plan:
        return core.Plan(self.graph, [self.loss], list(enumerate(self.gradients)), True)

    def store(self) -> core.Store:
        store = core.Store(self.tensors, [], self.dtype)
        for slot, (_, shape) in enumerate(self.tensors):
            store.parameter(slot)[...] = 0.5 * normal(tuple(shape), key=slot)
        return store
