"""Who competes in training a dense network, and the proof that all compute the same."""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dense_network import DenseNetwork

# Name -> the package that it needs. Each is a module `<name>_contender` with a class Contender.
CONTENDERS = {
    "bpcore": "bpcore",
    "pytorch": "torch",
    "pytorch_compiled": "torch",
    "jax_jit": "jax",
    "jax_scan": "jax",
    "sklearn": "sklearn",
    "numpy": "numpy",
}


class Contender(Protocol):
    """A network with its weights, its data and Adam with a rate of 1e-3, in one library.

    Its constructor takes the network and the number of threads.
    """

    def losses(self, count: int) -> list[float]:
        """Trains on the first `count` batches in the order of the data; the loss before each update."""

    def epoch(self) -> int:
        """Trains on shuffled full batches, an epoch or a part of it; the number of steps."""

    def accuracy(self, x: np.ndarray, y: np.ndarray) -> float:
        """The share of right predictions."""


def installed() -> list[str]:
    """The contenders that can take part here; torch.compile needs a C++ compiler."""
    names = [name for name, package in CONTENDERS.items() if find_spec(package)]
    if not shutil.which(os.environ.get("CXX", "g++")):
        names = [name for name in names if name != "pytorch_compiled"]
    return names


def make_contender(name: str, network: DenseNetwork, threads: int) -> Contender:
    """The one of that name."""
    made: Contender = import_module(f"{name}_contender").Contender(network, threads)
    return made


def make_contenders(
    network: DenseNetwork, threads: int, names: Iterable[str] | None = None, compared: int = 10
) -> dict[str, Contender]:
    """The installed contenders, or those of `names`. Stops unless their first `compared` losses agree.

    The first one to 1e-5, the others to 1e-3: Adam's first steps are about as long for a gradient of 1e-9
    as for one of 1, so that weights whose gradient is mere rounding go their own way.
    """
    chosen = [name for name in installed() if names is None or name in names]
    made = {name: make_contender(name, network, threads) for name in chosen}
    losses = {name: contender.losses(compared) for name, contender in made.items()}
    tolerance = np.array([1e-5] + (compared - 1) * [1e-3])
    for name, found in losses.items():
        if not np.allclose(found, losses["bpcore"], rtol=tolerance, atol=1e-5):
            raise SystemExit(f"{network.name}: {name} computes something else: {losses}")
    return made
