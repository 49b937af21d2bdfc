"""nn.Recompute: the same bits with less memory."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore.nn.recompute import saving
from tests.support.draw import normal
from tests.support.graphs import Graph, f64

if TYPE_CHECKING:
    from collections.abc import Callable

X = normal((24, 20)).astype(np.float32)
Y = normal((24, 3)).astype(np.float32)


def block() -> nn.Module:
    return nn.Sequential(
        nn.Dense(30, "tanh"), nn.Dropout(0.3), nn.BatchNorm(), nn.Dense(20, "gelu"), nn.LayerNorm()
    )


def plain(part: nn.Module) -> nn.Module:
    return part


def stack(wrap: Callable[[nn.Module], nn.Module], blocks: int = 3) -> nn.Module:
    return nn.Sequential(*(wrap(block()) for _ in range(blocks)), nn.Dense(3))


def trained(model: nn.Module) -> list[Any]:
    trainer = bp.Trainer(model, loss="mse", optimizer=optim.Adam(0.01), seed=3)
    trainer.fit(X, Y, epochs=3, batch_size=8, progress=False)
    return [*trainer.parameters.values(), *(v.value for _, v in model.named_variables() if v.is_state)]


def test_training_has_the_same_bits() -> None:
    def named_alike(part: nn.Module) -> nn.Module:  # random numbers and initial values go by path
        return nn.Sequential(part)

    class Again(nn.Recompute):
        def named_children(self) -> Any:
            yield "0", self.module

    kept, again = trained(stack(named_alike)), trained(stack(Again))
    assert len(kept) == len(again)
    for a, b in zip(kept, again, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("outer", [plain, nn.Recompute])
def test_gradients_are_those_of_differences(outer: Callable[[nn.Module], nn.Module]) -> None:
    inner = nn.Sequential(nn.Dense(4, "tanh"), nn.Recompute(nn.Dense(5, "sigmoid")), nn.Dense(2, "tanh"))
    model = outer(nn.Sequential(inner, nn.Recompute(lambda x: ops.exp(x) * ops.sum(x, 1, keepdims=True))))
    model.build((3, 4), dtype="float64")
    bp.check_gradients(lambda x: ops.sum(model(x) ** 2), normal((3, 4)), order=2)


def test_a_result_used_outside_and_a_second_call() -> None:
    layer = nn.Recompute(nn.Dense(4, "tanh"))
    layer.build((3, 4), dtype="float64")
    bp.check_gradients(lambda x: ops.sum(layer(layer(x)) * ops.tanh(x) + layer(x) ** 2), normal((3, 4)))


def arena(model: nn.Module) -> int:
    model.build((256, 64))
    found = saving(model)
    assert found is not None
    assert found.batch == 256
    return found.bytes


def deep(wrap: Callable[[nn.Module], nn.Module], blocks: int) -> nn.Module:
    layers = (nn.Sequential(*(nn.Dense(64, "tanh") for _ in range(8))) for _ in range(blocks))
    return nn.Sequential(*map(wrap, layers), nn.Recompute(nn.Identity()))


def test_memory_is_that_of_the_inputs_and_one_block() -> None:
    one = 256 * 64 * 4  # bytes of one layer's output
    assert arena(deep(plain, 8)) >= 64 * one
    assert arena(deep(nn.Recompute, 8)) <= (8 + 8 + 3) * one


def test_summary_says_what_is_saved() -> None:
    model = deep(nn.Recompute, 4)
    assert "recomputation" not in str(model.summary(show=False))  # sizes aren't known
    model.build((128, 64))
    said = re.search(
        r"recomputation: a training step of batch 128 holds ([\d.]+) MiB instead of ([\d.]+) MiB",
        str(model.summary(show=False)),
    )
    assert said is not None
    assert float(said[1]) < 0.6 * float(said[2])
    plain_model = deep(plain, 4)[:4]
    plain_model.build((128, 64))
    assert "recomputation" not in str(plain_model.summary(show=False))


class _WithPlace(nn.Module):
    """An output that has no derivative beside one that has."""

    def __init__(self) -> None:
        self.block = nn.Recompute(nn.Sequential(nn.Dense(64, "tanh"), nn.Dense(64)))

    def __call__(self, x: Any) -> Any:
        y = self.block(x)
        return y, ops.argmax(y), y > 0


def test_what_is_saved_counts_outputs_that_are_floats() -> None:
    model = _WithPlace()
    model.build((128, 64))
    assert "recomputation" in str(model.summary(show=False))


def test_only_what_can_be_called() -> None:
    with pytest.raises(TypeError, match=r"^Recompute: expected a module or a function, got 3"):
        nn.Recompute(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^Recompute: "):
        nn.Recompute(nn.ReLU)


def test_regions_of_a_graph_are_disjoint_or_nested() -> None:
    graph = Graph()
    node = graph.input(f64(2))
    for _ in range(9):
        node = graph.add("tanh", node)
    graph.core.recompute(2, 5)
    graph.core.recompute(1, 6)
    with pytest.raises(ValueError, match=r"^recompute: nodes 5 to 8 overlap nodes 1 to 6"):
        graph.core.recompute(5, 8)
    with pytest.raises(ValueError, match=r"^recompute: there are no nodes 8 to 11"):
        graph.core.recompute(8, 11)
    graph.core.recompute(6, 8)
