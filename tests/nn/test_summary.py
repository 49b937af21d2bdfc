"""Module.summary: layers, shapes, parameters, and what a sample costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops
from bpcore._native import core
from bpcore.nn.module import cost
from tests.nn.models import Plain, Tied, sequential


def _text(model: nn.Module) -> str:
    return model.summary(show=False) or ""


def _rows(model: nn.Module) -> list[list[str]]:
    return [line.split() for line in _text(model).splitlines()]


def _lenet() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2D(6, 5, padding="same", activation="tanh"),
        nn.AvgPool2D(2),
        nn.Conv2D(16, 5, activation="tanh"),
        nn.AvgPool2D(2),
        nn.Flatten(),
        nn.Dense(120, "tanh"),
        nn.Dense(84, "tanh"),
        nn.Dense(10),
    )


def test_summary_shows_layers_shapes_and_numbers() -> None:
    model = nn.Sequential(nn.Dense(256, "relu"), nn.ReLU(), nn.Dense(10))
    model.build(784)
    text, rows = _text(model), _rows(model)
    assert rows[0] == ["layer", "output", "shape", "parameters", "FLOPs", "bytes"]
    assert ["0", "(Dense)", "(None,", "256)", "200,960", "401,920", "1,024"] in rows
    assert ["1", "(ReLU)", "(None,", "256)", "0", "256", "1,024"] in rows
    assert ["2", "(Dense)", "(None,", "10)", "2,570", "5,130", "40"] in rows
    assert "203,530 parameters" in text
    assert "795.0 KiB in float32" in text
    assert "a sample: 407,306 FLOPs, 2.0 KiB of outputs" in text


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (1, "4 bytes"),
        (255, "1,020 bytes"),
        (256, "1.0 KiB"),
        (2**18 - 1, "1.0 MiB"),  # 1,024.0 KiB, once rounded
        (2**18, "1.0 MiB"),
        (535_808, "2.0 MiB"),
        (2**18 * 1000, "1,000.0 MiB"),
        (2**28, "1.0 GiB"),
    ],
)
def test_memory_is_shown_in_the_largest_unit_of_which_there_is_one(rows: int, said: str) -> None:
    class Table(nn.Module):
        def __init__(self) -> None:
            self.weight = nn.Parameter((rows,))

    assert f"{rows:,} parameters ({said} in float32)" in _text(Table())


def test_summary_prints_unless_told_not_to(capsys: pytest.CaptureFixture[str]) -> None:
    model = sequential()
    assert model.summary() is None
    assert capsys.readouterr().out.strip() == _text(model).strip()
    assert capsys.readouterr().out == ""


def test_summary_takes_no_shape() -> None:
    with pytest.raises(TypeError, match=r"summary: show must be True or False, got \(784,\)"):
        sequential().summary((784,))  # type: ignore[arg-type]


def test_summary_before_sizes_are_known_says_so() -> None:
    text = _text(sequential())
    assert "? parameters" in text
    assert "? FLOPs" in text
    assert "frozen" not in text
    assert ["0", "(Dense)", "?", "?", "?", "?"] in _rows(sequential())


def test_summary_counts_frozen_parameters_and_states() -> None:
    model = Plain()
    model.first.weight.trainable = False
    assert "41 parameters, 6 of them frozen, 2 values of state" in _text(model)


# Costs, by hand


def test_every_op_is_counted() -> None:
    assert set(core.op_names()) == cost.COUNTED


def test_a_sparse_product_counts_what_the_input_has_room_for() -> None:
    graph = core.Graph()
    parts = [graph.input((4,), "int64"), graph.input((10,), "int64"), graph.input((10,), "float32")]
    weight, bias = graph.input((50, 6), "float32"), graph.input((6,), "float32")
    forward = graph.add("sparse_dense", [*parts, weight, bias], {"activation": "relu"})
    gradient = graph.add("sparse_dense_gradient", [*parts, forward], {"size": 50})
    assert cost.flops_of(graph, forward) == 2 * 10 * 6 + 2 * 3 * 6
    assert cost.flops_of(graph, gradient) == 2 * 10 * 6


def _conv(positions: int, kernel: int, filters: int) -> int:
    """Products, a bias and an activation for each output."""
    return positions * filters * (2 * kernel + 2)


T, F, U = 7, 5, 6  # steps, features, units
LSTM = T * (4 * U) * (2 * F + 1) + T * (2 * U * 4 * U + 13 * U)
GRU = T * (3 * U) * (2 * F + 1) + T * (2 * U * 3 * U + 12 * U)
RNN = T * U * (2 * F + 1) + T * (2 * U * U + 2 * U)
CASES: dict[str, tuple[Any, tuple[int | None, ...], int]] = {
    "dense": (lambda: nn.Dense(10), (None, 784), 10 * (2 * 784 + 1)),
    "dense without bias": (lambda: nn.Dense(10, use_bias=False), (None, 784), 10 * 2 * 784),
    "dense with relu": (lambda: nn.Dense(10, "relu"), (None, 784), 10 * (2 * 784 + 2)),
    "dense on a sequence": (lambda: nn.Dense(10), (None, 3, 4), 3 * 10 * (2 * 4 + 1)),
    "conv2d": (lambda: nn.Conv2D(8, 3), (None, 10, 12, 3), 8 * 10 * 8 * (2 * 27 + 1)),
    "conv2d in groups": (lambda: nn.Conv2D(8, 3, groups=2), (None, 10, 12, 4), 8 * 10 * 8 * (2 * 18 + 1)),
    "conv1d": (lambda: nn.Conv1D(8, 3, use_bias=False), (None, 10, 4), 8 * 8 * 2 * 12),
    "max_pool": (lambda: nn.MaxPool2D(2), (None, 4, 6, 3), 4 * 6 * 3),
    "lstm": (lambda: nn.LSTM(U), (None, T, F), LSTM),
    "gru": (lambda: nn.GRU(U), (None, T, F), GRU),
    "rnn": (lambda: nn.RNN(U), (None, T, F), RNN),
    "two directions": (lambda: nn.LSTM(U, bidirectional=True), (None, T, F), 2 * LSTM),
    "attention": (
        lambda: nn.MultiHeadAttention(2),
        (None, T, 8),
        T * 24 * (2 * 8 + 1) + 2 * 2 * T * T * 8 + T * 8 * (2 * 8 + 1),
    ),
    "argmax": (lambda: nn.Lambda(lambda x: ops.argmax(x, -1)), (None, 10), 10),
    "softmax": (lambda: nn.Softmax(), (None, 10), 50),
    "own": (lambda: nn.Lambda(lambda x: ops.tanh(x @ np.eye(4, dtype="f4"))), (None, 4), 4 * (2 * 4 + 1)),
    "mlp": (
        lambda: nn.Sequential(nn.Dense(64, "relu"), nn.Dense(64, "relu"), nn.Dense(10)),
        (None, 10),
        64 * 22 + 64 * 130 + 10 * 129,
    ),
    "lenet": (
        _lenet,
        (None, 28, 28, 1),
        _conv(28 * 28, 25, 6) + 28 * 28 * 6 + _conv(100, 150, 16) + 1600 + 120 * 802 + 84 * 242 + 10 * 169,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operations_of_a_sample(name: str) -> None:
    make, shape, expected = CASES[name]
    model = make()
    model(np.zeros([3 if size is None else size for size in shape], np.float32))
    found = cost.forward(model)
    assert found is not None
    assert sum(found.flops.values()) == expected


def test_bytes_are_those_of_the_dtype() -> None:
    model = nn.Sequential(nn.Dense(3))
    model.build(4, dtype="float64")
    assert ["0", "(Dense)", "(None,", "3)", "15", "27", "24"] in _rows(model)


def test_what_is_frozen_is_not_trained() -> None:
    model = nn.Sequential(nn.Dense(3)).freeze()
    model.build(4)
    assert "27 FLOPs" in _text(model)
    assert "in training" not in _text(model)


def test_operations_of_a_training_step() -> None:
    """A gradient by weights costs as much as the product, one by inputs, too; the first layer needs none."""
    model = nn.Sequential(nn.Dense(20, "relu"), nn.Dense(30, use_bias=False))
    model.build(10)
    step = cost.training_step(model)
    first, second = 2 * 10 * 20, 2 * 20 * 30
    assert step is not None
    around = step.flops - 2 * first - 3 * second
    # bias, relu, relu's derivative, the bias's gradient: each 20; the sum of the outputs that is minimised.
    assert 4 * 20 + 30 <= around <= 4 * 20 + 2 * 30


def test_training_counts_all_products_of_convolution_recurrence_and_attention() -> None:
    """For large products, a training step is three times a forward pass, but for first layers' inputs."""
    for layer, shape, least, most in (
        (nn.Conv2D(32, 3), (None, 12, 12, 16), 2.9, 3.1),
        (nn.LSTM(64), (None, 10, 64), 2.9, 3.1),
        (nn.GRU(64), (None, 10, 64), 2.9, 3.1),
        (nn.MultiHeadAttention(2), (None, 64, 32), 2.9, 3.3),
    ):
        model = nn.Sequential(nn.Dense(shape[-1]), layer)  # type: ignore[arg-type]
        model.build(shape)
        forward, step = cost.forward(model), cost.training_step(model)
        assert forward is not None
        assert step is not None
        first = forward.flops.pop("0")
        assert least < (step.flops - 2 * first) / sum(forward.flops.values()) < most, type(layer)


def test_costs_are_those_of_each_call_and_of_what_is_in_no_layer() -> None:
    model = nn.Sequential(shared := nn.Dense(4, use_bias=False), shared, nn.Residual(nn.ReLU()))
    model.build(4)
    rows = _rows(model)
    assert ["0", "(Dense)", "(None,", "4)", "16", "64", "16"] in rows
    assert ["2", "(Residual)", "(None,", "4)", "0", "4", "16"] in rows
    assert ["2.modules.0", "(ReLU)", "(None,", "4)", "0", "4", "16"] in rows
    tied = Tied()
    tied(np.zeros((5, 4), "float32"))
    assert ["model", "(Tied)", "(None,", "4)", "8", "16", "16"] in _rows(tied)


def test_a_recurrent_layer_has_one_row_with_its_parameters() -> None:
    model = nn.Sequential(nn.LSTM(4, layers=2), nn.Dense(1))
    assert [row[:2] for row in _rows(model)[2:4]] == [["0", "(LSTM)"], ["1", "(Dense)"]]
    model.build((None, 5, 3))
    assert _rows(model)[2][:5] == ["0", "(LSTM)", "(None,", "4)", "272"]


def test_a_part_of_a_model_has_its_own_summary() -> None:
    whole = nn.Sequential(nn.Sequential(nn.Dense(4), nn.Dense(3)), nn.Dense(2))
    whole.build(5)
    assert ["0", "(Dense)", "(None,", "4)", "24", "44", "16"] in _rows(whole[0])  # type: ignore[arg-type]


def test_a_summary_changes_nothing() -> None:
    """It traces the model for one sample; shapes and what was asked last stay those of the last call."""
    model = nn.Sequential(nn.Dense(4), nn.Flatten(), nn.Dense(2))
    x = np.ones((3, 2, 5), np.float32)
    before = model(x)
    assert _text(model) == _text(model)
    assert model._bpcore.inputs == [((3, 2, 5), "float32")]
    np.testing.assert_array_equal(model(x), before)


def test_a_model_that_takes_only_one_size_of_batch_has_costs_of_that() -> None:
    model = nn.Sequential(nn.LSTM(4, stateful=True), nn.Dense(1))
    model(np.zeros((3, 5, 2), np.float32))
    text = _text(model)
    assert ["1", "(Dense)", "(None,", "1)", "5", "9", "4"] in _rows(model)
    assert "batch of 3" in text


def test_what_cannot_be_traced_again_has_no_costs() -> None:
    """An objective calls parts; the whole never had an input."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            self.a, self.b = nn.Dense(2), nn.Dense(1)

    def objective(model: Any, x: Any) -> Any:
        return ops.mean(model.b(model.a(x)) ** 2)

    model = Pair()
    bp.Trainer(model, objective=objective).step(np.ones((4, 3), "float32"))
    assert ["a", "(Dense)", "(None,", "2)", "8", "?", "?"] in _rows(model)


def test_long_names_are_shortened_in_the_middle() -> None:
    class Deep(nn.Module):
        def __init__(self) -> None:
            self.an_encoder_with_a_name_that_goes_on_and_on = {"and_on_and_on_until_it_ends": [nn.Dense(4)]}

        def __call__(self, x: Any) -> Any:
            y = self.an_encoder_with_a_name_that_goes_on_and_on["and_on_and_on_until_it_ends"][0](x)
            return {"first": y, "second": (y * 2, ops.reshape(y, (-1, 2, 2)))}

    model = Deep()
    model.build(3)
    lines = _text(model).splitlines()
    assert max(map(len, lines)) <= 100
    assert sum("…" in line and line.split()[1] == "(Dense)" for line in lines) == 1
    assert len({len(line) for line in lines[:4]}) == 1, "columns stand below each other"
