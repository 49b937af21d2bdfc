"""A fused op equals the plain ops that it stands for, in values and in derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.draw import integers, normal
from tests.support.graphs import Graph

ROWS, CLASSES, WIDTH = 9, 17, 5

DENSE = [normal((ROWS, WIDTH)), normal((WIDTH, CLASSES), key=1), normal((CLASSES,), key=2)]
LOGITS, LABELS = 3 * normal((ROWS, CLASSES), key=3), integers((ROWS,), 0, CLASSES)
TARGETS = np.asarray(1 / (1 + np.exp(-normal((ROWS, CLASSES), key=4))))

FUSED = [
    *(
        ("dense", DENSE[:count], {"activation": activation})
        for activation in ("", "relu", "sigmoid", "tanh")
        for count in (2, 3)
    ),
    ("cross_entropy", [LOGITS, LABELS], {}),
    ("cross_entropy_gradient", [LOGITS, LABELS, normal((ROWS,), key=5)], {}),
    ("binary_cross_entropy", [LOGITS, TARGETS], {}),
    ("squared_error", [LOGITS, TARGETS], {}),
]
IDS = [f"{op}{attributes.get('activation', '')}-{len(inputs)}" for op, inputs, attributes in FUSED]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "inputs", "attributes"), FUSED, ids=IDS)
def test_fused_op_equals_its_decomposition(op: str, inputs: list, attributes: dict, dtype: str) -> None:
    arrays = [x.astype(dtype) if x.dtype.kind == "f" else x for x in inputs]
    graph = Graph()
    nodes = [graph.input((x.shape, x.dtype.name)) for x in arrays]
    fused = graph.add(op, *nodes, **attributes)
    count = len(graph)
    plain = graph.core.decompose(fused)
    assert plain >= count, "the decomposition is made of new nodes, not the fused one again"
    steps = list(range(count, len(graph)))
    assert op not in {graph.core.op(step) for step in steps}
    # As outputs of the plan, the steps can't be fused again.
    plan = graph.plan(fused, plain, *steps)
    assert sum(line.startswith(op) for line in plan.instructions) == 1
    value, decomposed = plan.run(None, arrays)[:2]
    tolerance = 20 * float(np.finfo(dtype).eps)
    np.testing.assert_allclose(
        value, decomposed, rtol=tolerance, atol=tolerance * max(1, np.abs(value).max())
    )

    floats = [node for node, x in zip(nodes, arrays, strict=True) if x.dtype.kind == "f"]
    seed = graph.constant(normal(value.shape, key=6).astype(dtype))
    both = [graph.core.gradients(node, floats, seed) for node in (fused, plain)]
    values = graph.run([*both[0], *both[1]], *arrays)
    for got, want in zip(values[: len(floats)], values[len(floats) :], strict=True):
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance * max(1, np.abs(want).max()))


def test_plain_op_has_no_decomposition() -> None:
    graph = Graph()
    node = graph.add("exp", graph.input(((2,), "float64")))
    with pytest.raises(RuntimeError, match="^exp: "):
        graph.core.decompose(node)
