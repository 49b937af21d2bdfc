"""PyTorch with `torch.compile` of model and loss, forward and backward; the rest as in eager mode."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytorch_contender
import torch

if TYPE_CHECKING:
    from dense_network import DenseNetwork


class Contender(pytorch_contender.Contender):
    def __init__(self, network: DenseNetwork, threads: int) -> None:
        super().__init__(network, threads)
        torch.compiler.reset()  # one network's code doesn't make the next one's general
        self._loss = torch.compile(self._loss)  # type: ignore[method-assign]
