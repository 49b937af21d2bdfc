"""Convolution layers: sizes, parameters, dtypes, training on any number of threads, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, ops, optim
from bpcore._native import core
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import Trace
from bpcore.watching.activity import activities
from tests.support.draw import normal
from tests.training.problems import bits

# layer, input, shape of the weight, output
SIZES: list[tuple[Any, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = [
    (lambda: nn.Conv2D(8, 3), (2, 7, 6, 3), (3, 3, 3, 8), (2, 5, 4, 8)),
    (lambda: nn.Conv2D(8, (3, 2), 2, "same"), (2, 7, 6, 3), (3, 2, 3, 8), (2, 4, 3, 8)),
    (lambda: nn.Conv2D(6, 3, padding=2, dilation=2, groups=3), (1, 7, 6, 3), (3, 3, 1, 6), (1, 7, 6, 6)),
    (lambda: nn.Conv2D(4, 1, activation="gelu"), (2, 3, 3, 5), (1, 1, 5, 4), (2, 3, 3, 4)),
    (lambda: nn.Conv1D(8, 3, 2, [(2, 0)]), (2, 7, 3), (3, 3, 8), (2, 4, 8)),
    (lambda: nn.Conv1D(8, 3, groups=2), (2, 7, 4), (3, 2, 8), (2, 5, 8)),
    (lambda: nn.DepthwiseConv2D(3, depth_multiplier=2), (2, 7, 6, 3), (3, 3, 1, 6), (2, 5, 4, 6)),
    (lambda: nn.DepthwiseConv1D(3, padding="same"), (2, 7, 5), (3, 1, 5), (2, 7, 5)),
    (lambda: nn.ConvTranspose2D(8, 3, 2), (2, 4, 3, 5), (3, 3, 8, 5), (2, 9, 7, 8)),
    (lambda: nn.ConvTranspose2D(8, (5, 2), 3, "same"), (2, 4, 3, 5), (5, 2, 8, 5), (2, 12, 9, 8)),
    (lambda: nn.ConvTranspose1D(4, 4, 2, 1, groups=2), (2, 5, 6), (4, 2, 6), (2, 10, 4)),
]


@pytest.mark.parametrize(("make", "shape", "weight", "output"), SIZES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sizes_are_taken_from_the_first_input(
    make: Any, shape: tuple[int, ...], weight: tuple[int, ...], output: tuple[int, ...], dtype: str
) -> None:
    layer = make()
    assert layer.in_channels is None
    layer.build(shape, dtype=dtype)
    assert layer.in_channels == shape[-1]
    assert {name: value.shape for name, value in layer.parameters.items()} == {
        "weight": weight,
        "bias": output[-1:],
    }
    y = layer(np.ones(shape))
    assert (y.shape, y.dtype) == (output, dtype)
    np.testing.assert_array_equal(layer(np.ones(shape, np.int64)), y)
    assert layer(np.ones((0, *shape[1:]))).shape == (0, *output[1:])


@pytest.mark.parametrize(
    ("layer", "weight"),
    [
        (nn.Conv2D(8, 3, in_channels=4, groups=2), (3, 3, 2, 8)),
        (nn.Conv1D(8, 5, in_channels=4), (5, 4, 8)),
        (nn.DepthwiseConv2D((2, 3), in_channels=4, depth_multiplier=3), (2, 3, 1, 12)),
        (nn.ConvTranspose2D(8, 3, in_channels=4), (3, 3, 8, 4)),
    ],
)
def test_with_in_channels_parameters_exist_at_once(layer: Any, weight: tuple[int, ...]) -> None:
    assert layer.parameters["weight"].shape == weight


@pytest.mark.parametrize("make", [make for make, *_ in SIZES])
def test_derivatives_by_the_input(make: Any) -> None:
    layer, shape = make(), next(shape for each, shape, *_ in SIZES if each is make)
    layer.build(shape, dtype="float64")
    direction = normal(shape)
    bp.check_gradients(lambda t: layer(t * direction), np.array(0.7), order=2)


def test_without_bias_there_is_none() -> None:
    for layer in (nn.Conv2D(3, 2, use_bias=False), nn.DepthwiseConv2D(2, use_bias=False)):
        layer.build((None, 4, 4, 2))
        assert list(layer.parameters) == ["weight"]
        assert not layer(np.zeros((1, 4, 4, 2))).any()


@pytest.mark.parametrize(
    ("activation", "spread"),
    [("relu", math.sqrt(2 / 144)), (None, math.sqrt(2 / (144 + 576)))],
)
def test_initial_weights_have_the_spread_of_their_fans(activation: str | None, spread: float) -> None:
    layer = nn.Conv2D(64, 3, activation=activation, in_channels=16)
    layer.build((None, 8, 8, 16), dtype="float64")
    assert layer.weight.value.std() == pytest.approx(spread, rel=0.03)
    assert not layer.bias.value.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("activation", ["relu", "gelu", nn.Softmax(), ops.tanh])
def test_activations_by_name_by_module_and_by_function(activation: Any) -> None:
    layer, plain = nn.Conv2D(4, 2, activation=activation), nn.Conv2D(4, 2)
    x = normal((2, 5, 5, 3))
    for each in (layer, plain):
        each.build((None, 5, 5, 3), dtype="float64")
    plain.weight.value[...] = layer.weight.value
    function = getattr(bp.activations, activation) if isinstance(activation, str) else activation
    np.testing.assert_allclose(layer(x), function(plain(x)), rtol=1e-12, atol=1e-14)


def test_bias_and_activation_are_computed_in_one_instruction_with_the_product() -> None:
    layer = nn.Conv2D(4, 3, activation="relu")
    layer.build((None, 6, 6, 2))
    layer(np.zeros((2, 6, 6, 2), np.float32))
    (compiled,) = layer._bpcore.plans._entries.values()
    assert compiled.plan.instructions == ["conv2d[relu] (2, 4, 4, 4)"]


def test_batch_normalisation_folds_into_convolutions() -> None:
    model = nn.Sequential(
        nn.Conv2D(6, 3), nn.BatchNorm(), nn.ReLU(), nn.DepthwiseConv2D(2, use_bias=False), nn.BatchNorm(),
        nn.ConvTranspose2D(3, 2), nn.BatchNorm(),
    )  # fmt: skip
    model.build((None, 6, 6, 2), dtype="float64")
    for i, (_, variable) in enumerate(model.named_variables()):
        variable.value[...] += np.random.default_rng(i).uniform(0.1, 0.5, variable.shape)
    folded = nn.fold_batch_norm(model)
    kinds = [type(layer).__name__ for layer in folded.layers]
    assert [kinds[1], kinds[4], kinds[6]] == ["Identity", "Identity", "BatchNorm"]
    x = normal((3, 6, 6, 2))
    np.testing.assert_allclose(folded(x), model(x), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.skipif(not core.openmp(), reason="built without threads")
def test_training_gives_the_same_bits_on_any_number_of_threads(dtype: str) -> None:
    rng = np.random.default_rng(3)
    x, labels = rng.normal(size=(70, 20, 20, 3)), rng.integers(0, 5, 70)

    class Mean(nn.Module):
        def __call__(self, x: Any) -> Any:
            return ops.mean(x, axis=(1, 2))

    def trained(threads: int) -> bp.Trainer:
        model = nn.Sequential(
            nn.Conv2D(32, 3, activation="relu"), nn.Conv2D(40, 3, 2, "same", activation="tanh"),
            nn.DepthwiseConv2D(3, padding=1), nn.ConvTranspose2D(24, 3, 2),
            nn.Conv2D(16, 5, groups=2, strides=3), Mean(), nn.Dense(5),
        )  # fmt: skip
        trainer = bp.Trainer(model, "cross_entropy", optim.Adam(3e-3), dtype=dtype, threads=threads)
        trainer.fit(x, labels, epochs=2, batch_size=32, progress=False)
        return trainer

    first = trained(1)
    assert first.history["loss"][1] < first.history["loss"][0]
    assert {bits(trained(threads)) for threads in (2, 3, 8)} == {bits(first)}


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (nn.Conv2D(8, 3), "Conv2D(8, 3, strides=1, padding='valid', in_channels=None)"),
        (
            nn.Conv1D(8, 3, 2, 1, dilation=2, in_channels=4),
            "Conv1D(8, 3, strides=2, padding=((1, 1),), dilation=2, in_channels=4)",
        ),
        (
            nn.DepthwiseConv2D((3, 2), padding="same", in_channels=2),
            "DepthwiseConv2D((3, 2), strides=1, padding='same', in_channels=2)",
        ),
        (nn.ConvTranspose2D(8, 3), "ConvTranspose2D(8, 3, strides=1, padding='valid', in_channels=None)"),
    ],
)
def test_it_is_shown_with_its_settings(layer: nn.Module, text: str) -> None:
    assert repr(layer) == text


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Conv2D(0, 3), ValueError, "Conv2D: filters must be at least 1, got 0"),
        (lambda: nn.Conv2D(2.0, 3), TypeError, "Conv2D: filters must be an integer"),
        (lambda: nn.Conv2D(4, 0), ValueError, "Conv2D: kernel_size must be at least 1"),
        (
            lambda: nn.Conv2D(4, (3, 3, 3)),
            ValueError,
            "Conv2D: kernel_size must be an integer or one for each",
        ),
        (lambda: nn.Conv1D(4, (3, 3)), ValueError, "Conv1D: kernel_size must be an integer or one for each"),
        (lambda: nn.Conv2D(4, 3, 0), ValueError, "Conv2D: strides must be at least 1"),
        (lambda: nn.Conv2D(4, 3, padding="full"), ValueError, 'Conv2D: padding must be "valid", "same"'),
        (
            lambda: nn.Conv2D(4, 3, padding=(1, -1)),
            ValueError,
            "Conv2D: padding of an axis must be at least 0",
        ),
        (lambda: nn.Conv2D(4, 3, dilation=0), ValueError, "Conv2D: dilation must be at least 1"),
        (lambda: nn.Conv2D(4, 3, groups=3), ValueError, "Conv2D: 4 filters can't be cut into 3 groups"),
        (
            lambda: nn.Conv2D(4, 3, groups=2, in_channels=5),
            ValueError,
            "Conv2D: 5 channels can't be cut into 2 groups",
        ),
        (lambda: nn.Conv2D(4, 3, in_channels=0), ValueError, "Conv2D: in_channels must be at least 1"),
        (lambda: nn.Conv2D(4, 3, activation="reul"), ValueError, "relu"),
        (
            lambda: nn.DepthwiseConv2D(3, depth_multiplier=0),
            ValueError,
            "depth_multiplier must be at least 1",
        ),
        (lambda: nn.DepthwiseConv1D(3, in_channels=True), TypeError, "in_channels must be an integer"),
        (
            lambda: nn.ConvTranspose2D(4, 3, 2, output_padding=2),
            ValueError,
            "ConvTranspose2D: output_padding must be below the stride, 2, got 2",
        ),
        (
            lambda: nn.ConvTranspose1D(4, 3, 2, "same", output_padding=1),
            ValueError,
            'ConvTranspose1D: output_padding must be 0 with padding "same"',
        ),
        (
            lambda: nn.ConvTranspose2D(4, 3, 2**62),
            ValueError,
            "ConvTranspose2D: strides must be at most 2684",
        ),
        (lambda: nn.Conv1D(4, 3, dilation=2**70), ValueError, "Conv1D: dilation must be at most 2684"),
        (lambda: nn.Conv2D(4, 3, padding=2**40), ValueError, "Conv2D: padding must be at most 2684"),
        (lambda: nn.MaxPool2D(2**31), ValueError, "MaxPool2D: size must be at most 2684"),
    ],
)
def test_wrong_settings_are_refused_when_the_layer_is_made(make: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (
            lambda: nn.Conv2D(4, 3),
            (5, 5, 2),
            r"Conv2D: expected input of shape \(batch, height, width, channels\)",
        ),
        (lambda: nn.Conv1D(4, 3), (2, 5, 5, 2), r"Conv1D: expected input of shape \(batch, time, channels\)"),
        (lambda: nn.Conv2D(4, 3), (1, 5, 5, 0), "Conv2D: expected input with channels"),
        (lambda: nn.Conv2D(4, 3, in_channels=3), (1, 5, 5, 2), "Conv2D: expected input with 3 channels"),
        (lambda: nn.Conv2D(4, 3, groups=2), (1, 5, 5, 3), "Conv2D: 3 channels can't be cut into 2 groups"),
        (
            lambda: nn.Conv2D(4, 6),
            (1, 5, 7, 3),
            "Conv2D: a window of 6 x 6 is larger than the input of 5 x 7",
        ),
        (
            lambda: nn.Conv2D(4, 3, padding=1, dilation=4),
            (1, 5, 9, 3),
            "a window of 3 x 3 with dilation 4 x 4 is larger than the input of 5 x 9, 7 x 11 with padding",
        ),
        (lambda: nn.ConvTranspose2D(4, 3, padding=3), (1, 3, 4, 3), "ConvTranspose2D: nothing is left"),
        (
            lambda: nn.ConvTranspose2D(4, 3),
            (1, 0, 4, 3),
            "ConvTranspose2D: expected input with elements along",
        ),
        (lambda: nn.ConvTranspose2D(4, 3, in_channels=3), (1, 3, 4, 2), "expected input with 3 channels"),
        (lambda: nn.DepthwiseConv2D(3, in_channels=3), (1, 3, 4, 2), "expected input with 3 channels"),
    ],
)
def test_wrong_input_is_refused_by_the_layers_name(make: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()(np.zeros(shape, np.float32))


def test_an_error_names_the_layer_by_its_place_in_the_model() -> None:
    model = nn.Sequential(nn.Conv2D(4, 3), nn.Conv2D(4, 4))
    with pytest.raises(
        ValueError, match=r"Conv2D layer '1': a window of 4 x 4 is larger than the input of 3 x 3"
    ):
        model.build((None, 5, 5, 1))


def test_units_without_gradient_are_found_in_what_a_convolution_computes_itself() -> None:
    with Trace() as trace:
        x = Tensor(trace, trace.graph.input((2, 6, 6, 1), "float32"))
        for activation in ("relu", "sigmoid"):
            ops.conv2d(x, np.ones((3, 3, 1, 4), np.float32), activation=activation)
        ops.conv1d(x[:, 0], np.ones((3, 1, 4), np.float32), activation="tanh")
        kinds = [found.kind for found in activities(trace)]
    assert kinds == ["dead", "saturated", "saturated"]
