"""Models that the tests of modules share."""

from __future__ import annotations

from typing import Any

from bpcore import nn, ops


class Plain(nn.Module):
    """Parts in all the places where they are found; no super().__init__()."""

    def __init__(self) -> None:
        self.first = nn.Dense(3, in_features=2)
        self.blocks = [nn.Dense(3, in_features=3), (nn.Dense(3, in_features=3, use_bias=False), "not a part")]
        self.heads = {"a": nn.Dense(1, in_features=3), "b": [nn.Parameter((3, 2))]}
        self.scale = nn.Parameter((), init=1.0)
        self.count = nn.State(2)
        self.note = "neither is this"

    def __call__(self, x: Any) -> Any:
        h = self.blocks[1][0](self.blocks[0](self.first(x)))  # type: ignore[operator, index]
        return {"a": self.heads["a"](h), "b": (h @ self.heads["b"][0]) * self.scale}  # type: ignore[operator, index]


class Tied(nn.Module):
    """An autoencoder whose decoder is its encoder, transposed."""

    def __init__(self) -> None:
        self.encoder = nn.Dense(2, in_features=4, use_bias=False)
        self.weight = self.encoder.weight

    def __call__(self, x: Any) -> Any:
        return self.encoder(x) @ ops.transpose(self.weight)


def sequential() -> nn.Sequential:
    return nn.Sequential(nn.Dense(5, "relu"), nn.Dense(3))
