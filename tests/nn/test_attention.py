"""nn.MultiHeadAttention, transformer layers and positions: what they compute, and what they refuse."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim, pytorch
from bpcore._native import core
from tests.support.draw import mask, normal


def _softmax(x: Any) -> Any:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _attention(layer: nn.MultiHeadAttention, x: Any, key: Any, value: Any, turn: Any = lambda x: x) -> Any:
    """In float64, sample by sample and head by head."""
    p = layer.parameters
    width = x.shape[-1]
    if "in_weight" in p:
        weights = np.split(p["in_weight"], 3, 1)
    else:
        weights = [p["query_weight"], p["key_weight"], p["value_weight"]]
    biases = np.split(p["in_bias"], 3) if "in_bias" in p else [0, 0, 0]
    q, k, v = (each @ w + b for each, w, b in zip((x, key, value), weights, biases, strict=True))
    out = np.zeros_like(x)
    size = width // layer.heads
    for n in range(len(x)):
        for h in range(layer.heads):
            part = slice(h * size, (h + 1) * size)
            scores = turn(q[n, :, part]) @ turn(k[n, :, part]).T / np.sqrt(size)
            out[n, :, part] = _softmax(scores) @ v[n, :, part]
    return out @ p["out_weight"] + p.get("out_bias", 0)


def _turned(x: Any) -> Any:
    """Rotary positions by complex numbers: feature i is the real part, feature i + half the imaginary one."""
    half = x.shape[1] // 2
    z = x[:, :half] + 1j * x[:, half:]
    z = z * np.exp(1j * np.arange(len(x))[:, None] * 10000.0 ** (-np.arange(half) / half))
    return np.concatenate([z.real, z.imag], 1)


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("rotary", [False, True])
@pytest.mark.parametrize("kind", ["self", "cross", "three", "widths"])
def test_multi_head_attention_is_its_formula(kind: str, rotary: bool, use_bias: bool) -> None:
    x, key, value = normal((2, 5, 12)), normal((2, 7, 12), key=1), normal((2, 7, 12), key=2)
    options: dict[str, Any] = {}
    if kind == "widths":
        key, value, options = (
            normal((2, 7, 4), key=1),
            normal((2, 7, 5), key=2),
            {"key_width": 4, "value_width": 5},
        )
    layer = nn.MultiHeadAttention(3, rotary=rotary, use_bias=use_bias, **options)
    given = {"self": (x,), "cross": (x, key), "three": (x, key, value), "widths": (x, key, value)}[kind]
    layer.build([each.shape for each in given], dtype="float64")
    for i, parameter in enumerate(layer.parameters.values()):
        parameter[...] = 0.5 * normal(parameter.shape, key=10 + i)
    everything = {"self": (x, x, x), "cross": (x, key, key)}.get(kind, (x, key, value))
    want = _attention(layer, *everything, turn=_turned if rotary else lambda x: x)
    np.testing.assert_allclose(layer(*given), want, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("rotary", [False, True])
def test_self_attention_is_attention_to_itself_passed_by_hand(rotary: bool) -> None:
    x = normal((2, 6, 8))
    layer = nn.MultiHeadAttention(2, rotary=rotary)
    layer.build(x.shape, dtype="float64")
    seen, lengths = mask((6, 6), key=3), np.array([2, 6])
    for extra in [(None, None, False), (seen, None, True), (seen, lengths, False)]:
        a, b = layer(x, None, None, *extra), layer(x, x, x, *extra)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_rotary_products_depend_on_distances_alone() -> None:
    x = np.tile(normal((1, 1, 8)), (1, 9, 1))
    layer = nn.MultiHeadAttention(1, rotary=True, use_bias=False)
    layer.build(x.shape, dtype="float64")
    seen = np.abs(np.arange(9)[:, None] - np.arange(9)) <= 1  # all of one kind: the neighbours
    out = layer(x + np.where(np.arange(9)[:, None] % 9 >= 0, 0.0, 1.0), None, None, seen)
    np.testing.assert_allclose(out[:, 1:8], np.broadcast_to(out[:, 1:2], (1, 7, 8)), rtol=1e-10)


def _permuted(layer: Any, x: Any, order: Any) -> float:
    return float(np.abs(layer(x)[:, order] - layer(x[:, order].copy())).max())


@pytest.mark.parametrize(
    "make",
    [
        lambda causal: nn.TransformerEncoder(2, 8, 2, 16, causal),
        lambda causal: nn.TransformerEncoder(1, 8, 4, 16, causal, norm_first=False, activation="relu"),
        lambda causal: nn.TransformerEncoderLayer(8, 2, 10, causal, activation="swiglu"),
        lambda causal: nn.TransformerEncoderLayer(8, 2, 10, causal, activation=nn.GLU()),
    ],
)
def test_an_encoder_sees_sets_and_a_causal_one_the_past_alone(make: Callable[[bool], Any]) -> None:
    x, order = normal((2, 6, 8)), np.array([3, 1, 5, 0, 4, 2])
    encoder = make(False)
    encoder.build(x.shape, dtype="float64")
    assert _permuted(encoder, x, order) < 1e-12
    causal = make(True)
    causal.build(x.shape, dtype="float64")
    assert _permuted(causal, x, order) > 1e-3
    later = x.copy()
    later[:, 4:] += normal((2, 2, 8), key=1)
    np.testing.assert_array_equal(causal(x)[:, :4], causal(later)[:, :4])
    assert (causal(x)[:, 4:] != causal(later)[:, 4:]).all()


def test_masks_and_lengths_reach_every_layer() -> None:
    x, memory = normal((2, 5, 8)), normal((2, 7, 6), key=1)
    encoder, decoder = nn.TransformerEncoder(2, 8, 2, 16), nn.TransformerDecoder(2, 8, 2, 16, memory_width=6)
    encoder.build(x.shape, dtype="float64")
    decoder.build([x.shape, memory.shape], dtype="float64")
    lengths = np.array([3, 3])
    short = encoder(x[:, :3].copy())
    np.testing.assert_allclose(encoder(x, None, lengths)[:, :3], short, rtol=1e-12)
    seen = np.broadcast_to(np.arange(5) < 3, (5, 5)).copy()
    np.testing.assert_allclose(encoder(x, seen)[:, :3], short, rtol=1e-12)
    few = decoder(x, memory[:, :3].copy())
    np.testing.assert_allclose(decoder(x, memory, None, None, None, lengths), few, rtol=1e-12)
    np.testing.assert_allclose(decoder(x, memory, None, np.arange(7) < 3), few, rtol=1e-12)
    later = x.copy()
    later[:, 3:] += 1
    np.testing.assert_array_equal(decoder(x, memory)[:, :3], decoder(later, memory)[:, :3])


def test_dropout_is_for_training_alone_and_differs_from_call_to_call() -> None:
    x = normal((2, 5, 8)).astype(np.float32)
    layer = nn.TransformerEncoder(2, 8, 2, 16, dropout=0.3)
    plain = layer(x)
    with bp.training(1):
        first = layer(x)
        np.testing.assert_array_equal(first, layer(x))
    with bp.training(2):
        assert (layer(x) != first).all()
    assert (plain != first).all()
    np.testing.assert_array_equal(layer(x), plain)
    attention = nn.MultiHeadAttention(2, width=8, dropout=0.5)
    with bp.training(1):
        twice = bp.grad(lambda x: ops.sum(attention(x) - attention(x)))(x)  # two calls, two masks
        assert (twice != 0).any()


@pytest.mark.parametrize(
    ("make", "inputs"),
    [
        (lambda: nn.MultiHeadAttention(2, dropout=0.3), [(2, 4, 6)]),
        (lambda: nn.MultiHeadAttention(2, rotary=True, key_width=3), [(2, 4, 8), (2, 5, 3), (2, 5, 8)]),
        (lambda: nn.TransformerEncoderLayer(6, 2, 5), [(2, 3, 6)]),
        (
            lambda: nn.TransformerDecoderLayer(6, 3, 5, norm_first=False, memory_width=4),
            [(2, 3, 6), (2, 4, 4)],
        ),
        (lambda: nn.LearnedPositions(5), [(2, 3, 4)]),
        (lambda: nn.SinusoidalPositions(), [(2, 3, 5)]),
    ],
)
def test_derivatives(make: Callable[[], Any], inputs: list[tuple[int, ...]]) -> None:
    layer = make()
    layer.build(inputs, dtype="float64")
    with bp.training(3):
        bp.check_gradients(lambda *xs: layer(*xs), *(normal(shape, key=i) for i, shape in enumerate(inputs)))


def test_learned_positions_are_added_and_get_their_gradients() -> None:
    layer = nn.LearnedPositions(6, 3)
    x = normal((4, 5, 3))
    layer.build(x.shape, dtype="float64")
    assert layer.weight.value.std() < 0.04
    np.testing.assert_array_equal(layer(x), x + layer.weight.value[:5])
    trainer = bp.Trainer(layer, objective=lambda model, x: ops.sum(model(x) * x), dtype="float64")
    found = trainer.gradients(x)["weight"]
    np.testing.assert_allclose(found[:5], x.sum(0), rtol=1e-12)
    assert not found[5].any()


@pytest.mark.parametrize("width", [1, 2, 5, 8])
def test_sinusoidal_positions(width: int) -> None:
    x = normal((2, 7, width))
    want = x.copy()
    for p in range(7):
        for i in range(width):
            angle = p / 10000 ** (2 * (i // 2) / width)
            want[:, p, i] += np.cos(angle) if i % 2 else np.sin(angle)
    np.testing.assert_allclose(nn.SinusoidalPositions()(x), want, rtol=1e-12, atol=1e-14)
    rounded = x.astype(np.float32)
    assert nn.SinusoidalPositions()(rounded).dtype == np.float32


class _Language(nn.Module):
    def __init__(self) -> None:
        self.table = nn.Parameter((11, 32), nn.init.Normal(std=0.5))
        self.positions = nn.LearnedPositions(24)
        self.encoder = nn.TransformerEncoder(2, 32, 4, 64, causal=True, dropout=0.1)
        self.head = nn.Dense(11)

    def __call__(self, x: Any) -> Any:
        return self.head(self.encoder(self.positions(ops.gather(self.table, x))))


@pytest.mark.skipif(not core.openmp(), reason="built without threads")
def test_positions_of_no_steps() -> None:
    for layer in (nn.SinusoidalPositions(), nn.LearnedPositions(3)):
        assert layer(np.zeros((2, 0, 5), "float32")).shape == (2, 0, 5)


def test_training_gives_the_same_bits_for_any_number_of_threads() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 11, (40, 24))
    y = np.roll(x, 1, 1)  # what came before

    def trained(threads: int) -> tuple[bytes, list[float]]:
        trainer = bp.Trainer(_Language(), "cross_entropy", optim.AdamW(1e-2), threads=threads)
        trainer.fit(x, y, epochs=6, batch_size=16, progress=False)
        return b"".join(value.tobytes() for value in trainer.parameters.values()), trainer.history["loss"]

    one, losses = trained(1)
    assert losses[-1] < 0.8 * losses[0]
    for threads in (2, 3, 8):
        assert trained(threads)[0] == one, threads


@pytest.mark.parametrize("activation", ["prelu", nn.PReLU(), nn.Sequential(nn.Identity(), nn.PReLU())])
@pytest.mark.parametrize("kind", [nn.TransformerEncoder, nn.TransformerDecoder])
def test_each_layer_has_an_activation_with_parameters_of_its_own(kind: Any, activation: Any) -> None:
    stack = kind(2, 4, 2, 8, activation=activation)
    found = [name for name in stack.parameters if "activation" in name]
    place = "activation.1.weight" if isinstance(activation, nn.Sequential) else "activation.weight"
    assert found == [f"layers.{i}.dense1.{place}" for i in range(2)]
    weights = [value for name, value in pytorch.state_dict(stack).items() if np.array_equal(value, [0.25])]
    assert len(weights) == 2


def test_the_activation_that_layers_copy_is_left_alone() -> None:
    activation = nn.PReLU()
    activation.parameters["weight"][...] = 0.5
    stack = nn.TransformerEncoder(2, 4, 2, 8, activation=activation)
    stack.parameters["layers.0.dense1.activation.weight"][...] = 0.75
    assert stack.parameters["layers.1.dense1.activation.weight"] == 0.5
    assert activation.parameters["weight"] == 0.5


def test_copies_and_representations() -> None:
    layer = nn.TransformerDecoder(1, 8, 2, 16)
    x = normal((1, 3, 8)).astype(np.float32)
    got = layer(x, x)
    np.testing.assert_array_equal(copy.deepcopy(layer)(x, x), got)
    shown = {
        "TransformerDecoder(1, 8, 2, 16, causal=True)": layer,
        "TransformerDecoderLayer(8, 2, 16, causal=True)": layer.layers[0],
        "TransformerEncoder(3, 8, 2, 16, causal=False)": nn.TransformerEncoder(3, 8, 2, 16),
        "MultiHeadAttention(2, width=None)": nn.MultiHeadAttention(2),
        "LearnedPositions(7, None)": nn.LearnedPositions(7),
        "SinusoidalPositions()": nn.SinusoidalPositions(),
    }
    assert [repr(each) for each in shown.values()] == list(shown)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.MultiHeadAttention(0), ValueError, "heads must be at least 1"),
        (lambda: nn.MultiHeadAttention(2.0), TypeError, "heads must be an integer"),  # type: ignore[arg-type]
        (lambda: nn.MultiHeadAttention(3, width=8), ValueError, "width 8 can't be cut into 3 heads"),
        (lambda: nn.MultiHeadAttention(3, width=9, rotary=True), ValueError, "even width, got 3"),
        (lambda: nn.MultiHeadAttention(2, dropout=1.1), ValueError, r"dropout must be in \[0, 1\]"),
        (lambda: nn.MultiHeadAttention(2, key_width=0), ValueError, "key_width must be at least 1"),
        (lambda: nn.MultiHeadAttention(2, use_bias="no"), TypeError, "use_bias"),  # type: ignore[arg-type]
        (
            lambda: nn.TransformerEncoder(0, 8, 2, 16),
            ValueError,
            "TransformerEncoder: layers must be at least",
        ),
        (
            lambda: nn.TransformerEncoder(1, 8, 3, 16),
            ValueError,
            "TransformerEncoderLayer: width 8 can't be cut",
        ),
        (lambda: nn.TransformerEncoderLayer(8, 2, 0), ValueError, "hidden must be at least 1"),
        (lambda: nn.TransformerEncoderLayer(8, 2, 3, norm_first=0), TypeError, "norm_first"),  # type: ignore[arg-type]
        (lambda: nn.TransformerEncoderLayer(8, 2, 3, activation="gulu"), ValueError, "gulu"),
        (lambda: nn.TransformerEncoderLayer(8, 2, 3, activation="swiglu"), ValueError, "hidden 3 .* even"),
        (lambda: nn.TransformerDecoder(1, 8, 2, 16, final_norm=1), TypeError, "final_norm"),  # type: ignore[arg-type]
        (lambda: nn.LearnedPositions(0), ValueError, "length must be at least 1"),
        (lambda: nn.LearnedPositions(3, 1.5), TypeError, "width must be an integer"),  # type: ignore[arg-type]
    ],
)
def test_bad_settings(make: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()


_X = normal((2, 5, 8)).astype(np.float32)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.MultiHeadAttention(3)(_X), ValueError, "width 8 can't be cut into 3 heads"),
        (
            lambda: nn.MultiHeadAttention(2)(_X[0]),
            ValueError,
            r"query of shape \(batch, time, features\), got",
        ),
        (lambda: nn.MultiHeadAttention(2, width=4)(_X), ValueError, r"\(batch, time, 4\), got \(2, 5, 8\)"),
        (lambda: nn.MultiHeadAttention(2)(_X, _X[..., :4]), ValueError, r"key of shape \(batch, time, 8\)"),
        (lambda: nn.MultiHeadAttention(2)(_X, _X[:1]), ValueError, "as many samples in query, key and value"),
        (lambda: nn.MultiHeadAttention(2)(_X, _X, _X[:, :3]), ValueError, "as many keys as"),
        (lambda: nn.MultiHeadAttention(2)(_X, None, _X), ValueError, "a value needs a key"),
        (
            lambda: nn.MultiHeadAttention(2)(_X, None, None, np.ones((5, 4), bool)),
            ValueError,
            "does not broadcast",
        ),
        (
            lambda: nn.MultiHeadAttention(2)(_X, None, None, np.ones((5, 5))),
            TypeError,
            "must be bools",
        ),
        (
            lambda: nn.MultiHeadAttention(2)(_X, None, None, None, np.array([5, 6])),
            ValueError,
            "length 6 is out of",
        ),
        (
            lambda: nn.TransformerEncoder(1, 4, 2, 8)(_X),
            ValueError,
            r"TransformerEncoder.*\(batch, time, 4\)",
        ),
        (lambda: nn.LearnedPositions(4)(_X), ValueError, "a sequence of 5 is longer than the 4 positions"),
        (lambda: nn.LearnedPositions(9, 7)(_X), ValueError, r"\(batch, time, 7\), got \(2, 5, 8\)"),
    ],
)
def test_bad_input(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
