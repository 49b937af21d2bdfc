"""A layer behind a gather from a small table multiplies the table, not the rows that were taken from it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore._native import core
from tests.support.draw import integers, normal
from tests.support.graphs import Graph, f64, i64
from tests.training.problems import bits

Array = np.ndarray
ROWS, WIDTH, UNITS = 6, 4, 5


def _graph(kept: bool = False) -> Graph:
    """`kept`: layers multiply what was gathered."""
    graph = Graph()
    if kept:
        graph.core.keep_rows()
    return graph


def _dense(graph: Graph, x: int, **attributes: Any) -> tuple[int, list[Array]]:
    arrays = [normal((WIDTH, UNITS), key=1), normal((UNITS,), key=2)]
    return graph.add("dense", x, *(graph.input(f64(*a.shape)) for a in arrays), **attributes), arrays


def _no_bias(graph: Graph, x: int) -> tuple[int, list[Array]]:
    return graph.add("dense", x, graph.input(f64(WIDTH, UNITS))), [normal((WIDTH, UNITS), key=1)]


def _activated(graph: Graph, x: int) -> tuple[int, list[Array]]:
    return _dense(graph, x, activation="relu")


def _column(graph: Graph, x: int) -> tuple[int, list[Array]]:
    return graph.add("matmul", x, graph.input(f64(WIDTH, 1))), [normal((WIDTH, 1), key=1)]


def _matmul(graph: Graph, x: int) -> tuple[int, list[Array]]:
    return graph.add("matmul", x, graph.input(f64(WIDTH, UNITS))), [normal((WIDTH, UNITS), key=1)]


def _transposed(graph: Graph, x: int) -> tuple[int, list[Array]]:
    weight = graph.input(f64(UNITS, WIDTH))
    return graph.add("matmul", x, weight, transpose_b=True), [normal((UNITS, WIDTH), key=1)]


LAYERS = [_dense, _no_bias, _activated, _column, _matmul, _transposed]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("shape", [(2 * ROWS,), (3, 5), (2, 3, 4)], ids=str)
def test_the_table_is_multiplied_and_bits_stay(
    layer: Callable[[Graph, int], tuple[int, list[Array]]], shape: tuple[int, ...]
) -> None:
    found, gradients = [], []
    for kept in (False, True):
        graph = _graph(kept)
        table, tokens = graph.input(f64(ROWS, WIDTH)), graph.input(i64(*shape))
        output, arrays = layer(graph, graph.add("gather", table, tokens, axis=0))
        given = [normal((ROWS, WIDTH)), integers(shape, 0, ROWS), *arrays]
        names = [line.split()[0] for line in graph.plan(output).instructions]
        assert (names[-1] == "gather") is not kept
        found.append(graph.run([output], *given)[0])
        wrt = [table, *range(tokens + 2, tokens + 2 + len(arrays))]
        loss = graph.sum(graph.add("tanh", output))
        gradients.append(graph.run(graph.core.gradients(loss, wrt), *given))
    assert found[0].tobytes() == found[1].tobytes()
    for a, b in zip(*gradients, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def _refused(graph: Graph, case: str) -> tuple[int, int]:
    """The last node, which must be that of the layer, and the node before."""
    rows = {"too many rows": ROWS + 1}.get(case, ROWS)
    shape = {"rows of several axes": (rows, 2, WIDTH)}.get(case, (rows, WIDTH))
    columns = case == "columns"
    table, tokens = graph.input(f64(*(reversed(shape) if columns else shape))), graph.input(i64(2, ROWS))
    x = graph.add("gather", table, tokens, axis=int(columns))
    if case == "something between":
        x = graph.add("relu", x)
    if case == "transposed":
        flat = graph.add("gather", table, graph.input(i64(2 * ROWS)), axis=0)
        return graph.add("matmul", flat, graph.input(f64(2 * ROWS, UNITS)), transpose_a=True), flat
    if case == "a weight for each":
        return graph.add("matmul", x, graph.input(f64(2, WIDTH, UNITS))), x
    if columns:
        return graph.add("dense", x, graph.input(f64(ROWS, UNITS))), x
    if case == "the other factor":
        return graph.add("matmul", graph.input(f64(2, UNITS, ROWS)), x), x
    return graph.add("dense", x, graph.input(f64(WIDTH, UNITS))), x


@pytest.mark.parametrize(
    "case",
    [
        "too many rows",
        "rows of several axes",
        "columns",
        "something between",
        "transposed",
        "a weight for each",
        "the other factor",
    ],
)
def test_what_is_no_layer_behind_a_small_table_stays(case: str) -> None:
    graph = _graph()
    layer, before = _refused(graph, case)
    assert graph.core.op(layer) in ("dense", "matmul")
    assert before in graph.core.inputs(layer)


@pytest.mark.parametrize("rows", [3, 9])  # folded and not
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_derivatives_of_both_orders(rows: int, activation: str | None) -> None:
    tokens = integers((2, 4), 0, rows)

    def layer(table: Any, weight: Any, bias: Any) -> Any:
        return ops.dense(ops.gather(table, tokens), weight, bias, activation)

    def slope(table: Any, weight: Any, bias: Any) -> Any:
        return bp.grad(lambda w: ops.sum(ops.tanh(layer(table, w, bias))))(weight)

    arrays = normal((rows, WIDTH)), normal((WIDTH, UNITS), key=1), normal((UNITS,), key=2)
    bp.check_gradients(layer, *arrays)
    bp.check_gradients(slope, *arrays)


class _Tied(nn.Module):
    """The embedding's weight is the last layer's, too, and its vectors are added to the recurrent layer's."""

    def __init__(self) -> None:
        self.embedding = nn.Embedding(ROWS, WIDTH)
        self.recurrent = nn.GRU(WIDTH, return_sequences=True)

    def __call__(self, tokens: Any) -> Any:
        vectors = self.embedding(tokens)
        return ops.matmul(vectors + self.recurrent(vectors), ops.transpose(self.embedding.weight))


def _characters(layer: Callable[..., nn.Module], *between: nn.Module, **options: Any) -> nn.Module:
    return nn.Sequential(
        nn.Embedding(ROWS, WIDTH, **options), *between, layer(UNITS, return_sequences=True), nn.Dense(ROWS)
    )


def _frozen() -> nn.Module:
    model = _characters(nn.LSTM)
    model[0].freeze()
    return model


MODELS: dict[str, Callable[[], nn.Module]] = {
    "RNN": lambda: _characters(nn.RNN),
    "LSTM": lambda: _characters(nn.LSTM),
    "GRU": lambda: _characters(nn.GRU),
    "dense": lambda: nn.Sequential(nn.Embedding(ROWS, WIDTH), nn.Dense(UNITS, "relu"), nn.Dense(ROWS)),
    "both directions": lambda: nn.Sequential(
        nn.Embedding(ROWS, WIDTH), nn.LSTM(UNITS, return_sequences=True, bidirectional=True), nn.Dense(ROWS)
    ),
    "frozen": _frozen,
    "tied": _Tied,
    "recomputed": lambda: nn.Sequential(
        nn.Embedding(ROWS, WIDTH), nn.Recompute(nn.LSTM(UNITS, return_sequences=True)), nn.Dense(ROWS)
    ),
    "padding": lambda: _characters(nn.LSTM, padding_index=0),
    "dropout": lambda: _characters(nn.LSTM, nn.Dropout(0.3)),
}
TEXT = integers((20, 9), 0, ROWS), integers((20, 9), 0, ROWS, key=1)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes traces from now on multiply what was gathered."""

    class Kept(core.Graph):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.keep_rows()

    return lambda: monkeypatch.setattr(core, "Graph", Kept)


@pytest.mark.parametrize("name", MODELS)
def test_training_is_the_same_but_for_rounding(name: str, kept: Callable[[], None]) -> None:
    """The last batch of two rows has too few tokens for it; the others don't."""
    found = []
    for _ in range(2):
        trainer = bp.Trainer(MODELS[name](), "cross_entropy", optim.Adam(0.01), dtype="float64", seed=1)
        trainer.fit(*TEXT, epochs=3, batch_size=9, progress=False)
        found.append(trainer)
        kept()
    for parameter, value in found[0].parameters.items():
        np.testing.assert_allclose(value, found[1].parameters[parameter], rtol=1e-7, atol=1e-10)
    assert (bits(found[0]) == bits(found[1])) is (name in ("padding", "dropout"))


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "dense"])
def test_bits_do_not_depend_on_threads(name: str) -> None:
    layer = {"RNN": nn.RNN, "LSTM": nn.LSTM, "GRU": nn.GRU}.get(name)
    x, y = integers((64, 40), 0, 30), integers((64, 40), 0, 30, key=1)
    found = set()
    for threads in (1, 2, 3, 8):
        inner = nn.Dense(96, "tanh") if layer is None else layer(96, return_sequences=True)
        model = nn.Sequential(nn.Embedding(30, 64), inner, nn.Dense(30))
        trainer = bp.Trainer(model, "cross_entropy", optim.Adam(0.01), threads=threads, seed=1)
        trainer.fit(x, y, epochs=1, batch_size=32, progress=False)
        found.add(bits(trainer))
    assert len(found) == 1


def test_lazy_steps_go_by_the_rows_of_the_batch() -> None:
    """A row that later batches don't have stays where it is: the table is not multiplied as a whole."""
    trainer = bp.Trainer(MODELS["LSTM"](), "cross_entropy", optim.Adam(0.01, lazy=True), seed=1)
    x, y = TEXT
    trainer.fit(x, y, epochs=1, progress=False)
    before = trainer.parameters["0.weight"].copy()
    trainer.fit(np.minimum(x, ROWS - 2), y, epochs=1, progress=False)
    trainer.step(np.minimum(x, ROWS - 2), y)
    moved = (trainer.parameters["0.weight"] != before).any(axis=1)
    assert moved.tolist() == [True] * (ROWS - 1) + [False]


def test_tokens_out_of_range_are_found_before_anything_changes() -> None:
    trainer = bp.Trainer(MODELS["LSTM"](), "cross_entropy", "adam", seed=1)
    x, y = TEXT
    trainer.step(x, y)
    before = bits(trainer)
    wrong = x.copy()
    wrong[3, 4] = ROWS
    for call in (trainer.step, lambda *data: trainer.fit(*data, epochs=1, progress=False)):
        with pytest.raises((ValueError, IndexError), match=str(ROWS)):
            call(wrong, y)
    assert bits(trainer) == before


RECURRENT = {"rnn": 1, "lstm": 4, "gru": 3}


def _recurrent(graph: Graph, op: str, dtype: str, gates_x: int, lengths: bool) -> tuple[int, list[Array]]:
    """The op behind gates_x (3, 7, ...), and its other inputs."""
    states = [normal((3, 5), key=key) for key in range(2 if op == "lstm" else 1)]
    bias = [normal((5,))] if op == "gru" else []
    arrays = [array.astype(dtype) for array in (normal((5, 5 * RECURRENT[op])), *bias, *states)]
    if lengths:
        arrays.append(np.array([7, 1, 4]))
    nodes = [graph.input((array.shape, str(array.dtype))) for array in arrays]
    return graph.add(op, gates_x, *nodes, **({"activation": "tanh"} if op == "rnn" else {})), arrays


@pytest.mark.parametrize("op", RECURRENT)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lengths", [False, True])
def test_recurrence_reads_a_tables_rows_where_they_are(op: str, dtype: str, lengths: bool) -> None:
    width = 5 * RECURRENT[op]
    given = [normal((4, width), key=9).astype(dtype), integers((3, 7), 0, 4)]
    found = []
    for read_twice in (False, True):
        graph = Graph()
        gates_x = graph.add("gather", graph.input(((4, width), dtype)), graph.input(i64(3, 7)), axis=0)
        output, arrays = _recurrent(graph, op, dtype, gates_x, lengths)
        plan = graph.plan(output, *([gates_x] if read_twice else []))
        assert len(plan.instructions) == 1 + read_twice  # who else reads the rows gets them gathered
        found.append(plan.run(None, [*given, *arrays])[0].tobytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("op", RECURRENT)
def test_a_wrong_row_of_a_recurrence_is_an_error(op: str) -> None:
    width = 5 * RECURRENT[op]
    given = [normal((4, width)), integers((3, 7), 0, 4)]
    given[1][2, 3] = 4
    for computed in (False, True):
        graph = Graph()
        table, indices = graph.input(f64(4, width)), graph.input(i64(3, 7))
        if computed:
            indices = graph.add("multiply", indices, graph.constant(np.array(1)))
        output, arrays = _recurrent(graph, op, "float64", graph.add("gather", table, indices, axis=0), False)
        with pytest.raises(ValueError, match=rf"^{op}: index 4 "):
            graph.plan(output).run(None, [*given, *arrays])
