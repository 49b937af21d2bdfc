"""nn.Embedding: values, gradients, bits, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from tests.support.draw import integers, normal
from tests.support.graphs import Graph
from tests.training.problems import bits


@pytest.mark.parametrize("dtype", ["int64", "int32", "int8", "uint8", "uint32"])
@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (2, 0), (2, 3, 4)])
def test_values_are_rows_of_the_weight(shape: tuple[int, ...], dtype: str) -> None:
    layer = nn.Embedding(7, 3)
    tokens = integers(shape, 0, 7).astype(dtype)
    vectors = layer(tokens)
    assert vectors.shape == (*shape, 3)
    for place in np.ndindex(shape):
        np.testing.assert_array_equal(vectors[place], layer.weight.value[int(tokens[place])])


def test_the_weight_is_standard_normal_unless_said_otherwise() -> None:
    weight = nn.Embedding(400, 100).parameters["weight"]
    assert abs(float(weight.mean())) < 0.02
    assert abs(float(weight.std()) - 1) < 0.02
    assert (nn.Embedding(4, 2, init=0.5).parameters["weight"] == 0.5).all()


def test_gradient_is_the_sum_over_occurrences_and_passes_padding_by() -> None:
    tokens, seed = np.array([[1, 4, 1], [0, 0, 2]]), normal((2, 3, 2))
    for padding in (None, 0, 1):
        layer = nn.Embedding(5, 2, padding_index=padding)
        trainer = bp.Trainer(layer, objective=lambda m, t, s: ops.sum(m(t) * s), dtype="float64")
        gradient = trainer.gradients(tokens, seed)["weight"]
        expected = np.zeros((5, 2))
        for place in np.ndindex(tokens.shape):
            if tokens[place] != padding:
                expected[tokens[place]] += seed[place]
        np.testing.assert_allclose(gradient, expected, rtol=1e-15)


def test_padding_is_zero_and_stays_zero() -> None:
    model = nn.Sequential(nn.Embedding(6, 4, padding_index=2), nn.GlobalAvgPool1D(), nn.Dense(3))
    x, y = integers((40, 5), 0, 6), integers((40,), 0, 3)
    trainer = bp.Trainer(model, "cross_entropy", optim.AdamW(0.05, weight_decay=0.1))
    trainer.fit(x, y, epochs=3, batch_size=8, progress=False)
    weight = model.parameters["0.weight"]
    assert not weight[2].any()
    assert weight[[0, 1, 3, 4, 5]].all()
    assert not model[0](np.array([2, 2])).any()


class _Tied(nn.Module):
    def __init__(self) -> None:
        self.embedding = nn.Embedding(6, 3)

    def __call__(self, tokens: Any) -> Any:
        return ops.matmul(ops.tanh(self.embedding(tokens)), ops.transpose(self.embedding.weight))


def test_a_weight_that_is_used_twice_gets_the_sum_of_both_gradients() -> None:
    model, tokens, seed = _Tied(), np.array([[1, 5], [1, 0]]), normal((2, 2, 6))
    model.build((2, 2), dtype="float64")
    weight = model.embedding.weight.value.copy()
    trainer = bp.Trainer(model, objective=lambda m, t, s: ops.sum(m(t) * s), dtype="float64")
    gradient = trainer.gradients(tokens, seed)["embedding.weight"]
    hidden = np.tanh(weight[tokens])
    expected = np.einsum("abv,abw->vw", seed, hidden)
    np.add.at(expected, tokens, (seed @ weight) * (1 - hidden**2))
    np.testing.assert_allclose(gradient, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 7, 128])
def test_the_number_of_threads_changes_no_bit_of_the_gradient(width: int, dtype: str) -> None:
    graph = Graph()
    g, tokens = graph.input(((3000, width), dtype)), graph.input(((3000,), "int64"))
    plan = graph.plan(graph.add("scatter_add", g, tokens, axis=0, size=2000))
    arrays: list[Any] = [normal((3000, width)).astype(dtype), integers((3000,), 0, 40) ** 2]
    one = plan.run(None, arrays, threads=1)[0]
    expected = np.zeros((2000, width), dtype)
    np.add.at(expected, arrays[1], arrays[0])
    np.testing.assert_array_equal(one, expected)
    for threads in (2, 3, 8):
        assert plan.run(None, arrays, threads=threads)[0].tobytes() == one.tobytes()


@pytest.mark.parametrize(
    ("tokens", "error", "message"),
    [
        ([[0, 5]], ValueError, r"^Embedding: input\[0, 1\] is 5, but Embedding has 5 tokens, 0 to 4$"),
        ([-1], ValueError, r"^Embedding: input\[0\] is -1, but Embedding has 5 tokens, 0 to 4$"),
        ([1.0], TypeError, "Embedding: tokens must be integers, not float"),
        ([True], TypeError, "Embedding: tokens must be integers, not bool"),
    ],
)
def test_wrong_tokens_are_refused(tokens: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        nn.Embedding(5, 2)(np.array(tokens))


def test_a_token_out_of_range_stops_training_before_anything_changes() -> None:
    model = nn.Sequential(nn.Embedding(5, 2), nn.Flatten(), nn.Dense(2))
    model.build((None, 3))
    trainer, before = bp.Trainer(model, "cross_entropy"), bits(model)
    x = np.zeros((20, 3), np.int32)
    x[17, 2] = 5
    says = r"x\[17, 2\] is 5, but Embedding layer '0' has 5 tokens, 0 to 4$"
    with pytest.raises(ValueError, match=f"^fit: {says}"):
        trainer.fit(x, np.zeros(20, int), epochs=1, batch_size=4, progress=False)
    with pytest.raises(ValueError, match=f"^predict: {says}"):
        trainer.predict(x)
    assert bits(model) == before


class _Words(nn.Module):
    """Two vocabularies, and a table that is no layer."""

    def __init__(self) -> None:
        self.word, self.tag = nn.Embedding(9, 2), nn.Embedding(4, 2)

    def __call__(self, words: Any, tags: Any, places: Any) -> Any:
        return self.word(words) + self.tag(tags) + ops.gather(np.ones((7, 2), np.float32), places)


@pytest.mark.parametrize(
    ("words", "tags", "places", "says"),
    [
        ([9], [0], [0], r"input 0\[0\] is 9, but Embedding layer 'word' has 9 tokens, 0 to 8"),
        ([8], [4], [0], r"input 1\[0\] is 4, but Embedding layer 'tag' has 4 tokens, 0 to 3"),
        ([8], [3], [7], r"input 2\[0\] is 7, but gather takes integers from 0 to 6"),
    ],
)
def test_the_layer_that_has_no_such_token_is_named(words: Any, tags: Any, places: Any, says: str) -> None:
    with pytest.raises(ValueError, match=f"^_Words: {says}$"):
        _Words()(*map(np.array, (words, tags, places)))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((0, 2), {}, ValueError, "count must be at least 1, got 0"),
        ((3, 2.0), {}, TypeError, "width must be an integer"),
        ((3, True), {}, TypeError, "width must be an integer"),
        ((3, 2), {"padding_index": 3}, ValueError, r"padding_index must lie in \[0, 3\), got 3"),
        ((3, 2), {"padding_index": -1}, ValueError, "padding_index must lie"),
        ((3, 2), {"padding_index": 0.0}, TypeError, "padding_index must be an integer"),
    ],
)
def test_wrong_settings_are_refused(arguments: Any, options: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=f"^Embedding: {message}"):
        nn.Embedding(*arguments, **options)
