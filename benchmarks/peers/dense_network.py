"""What the contenders of a workload share: a dense network, its data, and how they take turns."""

from __future__ import annotations

import os
import platform
import statistics
import time
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

# Contender -> the package that it needs. Each is a module beside this one with a class Contender.
CONTENDERS = {"bpcore": "bpcore", "pytorch": "torch"}


@dataclass(frozen=True)
class DenseNetwork:
    """A network in-hidden-…-out with relu between; data x (samples, in) float32, y (samples,) int64."""

    sizes: tuple[int, ...]
    batch: int
    x: np.ndarray
    y: np.ndarray

    @staticmethod
    def on_noise(sizes: tuple[int, ...], batch: int, steps: int) -> DenseNetwork:
        """Random data of `steps` batches, where only the time matters."""
        random = np.random.default_rng(1)
        x = random.normal(size=(steps * batch, sizes[0])).astype(np.float32)
        return DenseNetwork(sizes, batch, x, random.integers(0, sizes[-1], steps * batch))

    @property
    def name(self) -> str:
        return f"{'-'.join(map(str, self.sizes))}, batch {self.batch}"

    def _layers(self) -> list[tuple[int, int]]:
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    @property
    def flops(self) -> int:
        """Of a step's products: 6·batch·in·out a layer, 4 for the first, whose input needs no gradient."""
        return sum((4 if i == 0 else 6) * self.batch * n * m for i, (n, m) in enumerate(self._layers()))

    def weights(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(weight (in, out), bias (out,)) a layer: He normal and zero."""
        random = np.random.default_rng(0)
        return [
            ((random.normal(size=(n, m)) * np.sqrt(2 / n)).astype(np.float32), np.zeros(m, np.float32))
            for n, m in self._layers()
        ]


def make_contenders(network: DenseNetwork, threads: int) -> dict[str, Any]:
    """The installed contenders. Stops unless their first ten losses agree to 1e-4."""
    names = [name for name, package in CONTENDERS.items() if find_spec(package)]
    made = {name: import_module(f"{name}_contender").Contender(network, threads) for name in names}
    losses = {name: contender.losses(10) for name, contender in made.items()}
    for name, found in losses.items():
        if not np.allclose(found, losses["bpcore"], rtol=1e-4):
            raise SystemExit(f"{network.name}: {name} computes something else: {losses}")
    return made


def take_turns(contenders: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Contender -> seconds a step in each of `rounds` rounds, after one to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, contender in contenders.items():
            begin = time.perf_counter()
            steps = contender.epoch()
            times[name].append((time.perf_counter() - begin) / steps)
    return {name: values[1:] for name, values in times.items()}


def median_and_spread(values: list[float]) -> tuple[float, float]:
    """The median and the half width of the middle half, as a share of it."""
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, (high - low) / 2 / middle


def machine() -> str:
    """The processor's name, how many of its cores this process may use, and the date."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = (
            line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line
        )
        name = next(names, name)
    return f"{name}, {len(os.sched_getaffinity(0))} core(s), {time.strftime('%Y-%m-%d')}"
