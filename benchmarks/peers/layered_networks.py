"""Convolutional, recurrent and attention networks with their data, the same for every contender."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore import nn

if TYPE_CHECKING:
    from collections.abc import Callable

CHARACTERS = 65


class Gpt(nn.Module):
    """Logits (batch, time, CHARACTERS) of tokens (batch, time)."""

    def __init__(self, layers: int = 4, width: int = 128, heads: int = 4, window: int = 64) -> None:
        self.embedding = nn.Embedding(CHARACTERS, width)
        self.positions = nn.LearnedPositions(window, width)
        self.blocks = nn.TransformerEncoder(layers, width, heads, 4 * width, causal=True)
        self.head = nn.Dense(CHARACTERS)

    def __call__(self, tokens: Any) -> Any:
        return self.head(self.blocks(self.positions(self.embedding(tokens))))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2D(32, 3, activation="relu"),
        nn.Conv2D(64, 3, activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(128, activation="relu"),
        nn.Dense(10),
    )


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2D(8, 5, activation="relu"),
        nn.MaxPool2D(2),
        nn.Conv2D(16, 5, activation="relu"),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dense(64, activation="relu"),
        nn.Dense(10),
    )


def characters_through(layer: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    """An embedding of 64, the recurrent layer of 128, and logits for each step."""
    return lambda: nn.Sequential(
        nn.Embedding(CHARACTERS, 64), layer(128, return_sequences=True), nn.Dense(CHARACTERS)
    )


def series_through(layer: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    """The recurrent layer of 64 over 16 features, and ten classes from its last step."""
    return lambda: nn.Sequential(layer(64), nn.Dense(10))


@dataclass(frozen=True)
class LayeredNetwork:
    """A network with cross-entropy on noise: x (samples, ...) float32 or int64, y int64 (samples[, time])."""

    name: str
    make: Callable[[], nn.Module]
    batch: int
    x: np.ndarray
    y: np.ndarray

    def model(self) -> nn.Module:
        """In bpcore, with its initial weights, which all contenders begin with."""
        model = self.make()
        model(self.x[: self.batch])
        return model

    def weights(self) -> dict[str, np.ndarray]:
        """Those weights by name."""
        return {name: array.copy() for name, array in self.model().parameters.items()}

    def batches(self, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """The first `count` batches (x, y), in the order of the data."""
        cuts = [slice(i * self.batch, (i + 1) * self.batch) for i in range(count)]
        return [(self.x[cut], self.y[cut]) for cut in cuts]

    def shuffled(self, random: np.random.Generator) -> np.ndarray:
        """The rows of an epoch's batches in a new order (steps, batch)."""
        return random.permutation(len(self.x)).reshape(-1, self.batch)


def layered_networks(steps: int) -> list[LayeredNetwork]:
    """All of them, each with data for `steps` batches."""
    random = np.random.default_rng(1)

    def images(name: str, make: Callable[[], nn.Module], batch: int) -> LayeredNetwork:
        x = random.standard_normal((steps * batch, 28, 28, 1), np.float32)
        return LayeredNetwork(name, make, batch, x, random.integers(0, 10, steps * batch))

    def text(name: str, make: Callable[[], nn.Module], batch: int, time: int) -> LayeredNetwork:
        tokens = random.integers(0, CHARACTERS, (2, steps * batch, time))
        return LayeredNetwork(name, make, batch, tokens[0], tokens[1])

    def series(name: str, make: Callable[[], nn.Module], batch: int) -> LayeredNetwork:
        x = random.standard_normal((steps * batch, 50, 16), np.float32)
        return LayeredNetwork(name, make, batch, x, random.integers(0, 10, steps * batch))

    return [
        images("CNN, batch 64", cnn, 64),
        images("LeNet, batch 32", lenet, 32),
        text("LSTM 128, T 50, batch 64", characters_through(nn.LSTM), 64, 50),
        text("GRU 128, T 50, batch 64", characters_through(nn.GRU), 64, 50),
        series("LSTM 64, T 50, batch 32", series_through(nn.LSTM), 32),
        series("RNN 64, T 50, batch 32", series_through(nn.RNN), 32),
        text("GPT, T 64, batch 12", Gpt, 12, 64),
    ]
