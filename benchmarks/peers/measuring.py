"""How every workload is measured and recorded: threads, turns, medians, one JSON format, one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Package -> its module.
_PACKAGES = {"bpcore": "bpcore", "numpy": "numpy", "torch": "torch", "jax": "jax", "scikit-learn": "sklearn"}
_MARK = "BPCORE_BENCHMARK_THREADS"
# Seconds. KMP_BLOCKTIME, the longest of the libraries' waits, is 0.2 unless set.
_SETTLING = 0.25


def arguments(description: str, rounds: int, **more: Any) -> argparse.ArgumentParser:
    """A parser with what every workload takes; `more` sets other defaults."""
    parser = argparse.ArgumentParser(description=description.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="of every library, on as many CPUs")
    parser.add_argument("--rounds", type=int, default=rounds, help="measured turns of each contender")
    parser.add_argument("--quick", action="store_true", help="few rounds and small work: a trial run")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.set_defaults(**more)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options; from here on this process has `--threads` CPUs, and every library as many threads.

    Libraries read their number of threads when they are loaded, and JAX takes as many as the process has
    CPUs. So the program starts anew, once, with both set.
    """
    options = parser.parse_args()
    if options.quick:
        options.rounds = min(options.rounds, 3)
    threads = str(options.threads)
    if os.environ.get(_MARK) != threads:
        if hasattr(os, "sched_setaffinity"):
            cpus = sorted(os.sched_getaffinity(0))
            if len(cpus) < options.threads:
                parser.error(f"{threads} threads need as many CPUs, this process may use {len(cpus)}")
            os.sched_setaffinity(0, cpus[: options.threads])
        os.environ |= thread_variables(options.threads)
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return options


def thread_variables(threads: int) -> dict[str, str]:
    """What tells OpenMP (bpcore, PyTorch), OpenBLAS (NumPy, scikit-learn), MKL and XLA their threads."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", _MARK)
    xla = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"
    return {"XLA_FLAGS": xla, "JAX_PLATFORMS": "cpu", **dict.fromkeys(names, str(threads))}


def take_turns(contenders: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, list[float]]:
    """Contender -> seconds a piece of work in each of `rounds` rounds, after one to warm up.

    A contender is a function that works and returns how many pieces it has done. With several threads each
    turn begins with work that is not measured: OpenBLAS's threads, and some of OpenMP's, keep a CPU busy for
    a tenth of a second after their work, in which whoever comes next has it to share, and threads that have
    slept take as long to be on a CPU each.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, work in contenders.items():
            settled = time.perf_counter() + (_SETTLING if int(os.environ.get(_MARK, "1")) > 1 else 0)
            while time.perf_counter() < settled:
                work()
            begin = time.perf_counter()
            pieces = work()
            times[name].append((time.perf_counter() - begin) / pieces)
    return {name: values[1:] for name, values in times.items()}


def repeated(work: Callable[[], Any], seconds: float = 0.02, pieces: int = 1) -> Callable[[], int]:
    """`work`, which does so many pieces, as often as takes about `seconds`: a contender of `take_turns`."""
    work()
    count = 1
    while True:
        begin = time.perf_counter()
        for _ in range(count):
            work()
        if time.perf_counter() - begin > seconds / 2:
            break
        count *= 2

    def many() -> int:
        for _ in range(count):
            work()
        return count * pieces

    return many


def median_and_spread(values: list[float]) -> tuple[float, float]:
    """The median and the half width of the middle half, as a share of it."""
    if len(values) < 2:
        return values[0], 0.0
    low, middle, high = statistics.quantiles(values, n=4)
    return middle, (high - low) / 2 / middle


def machine() -> str:
    """The processor's name and how many of its CPUs this process may use."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        name = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), name)
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cpus} CPU(s)"


def versions() -> dict[str, str]:
    """Package -> version of what is installed. A bpcore made by a CMake preset has no metadata."""
    installed = {package: module for package, module in _PACKAGES.items() if find_spec(module)}
    return {
        package: import_module(module).__version__ if package == "bpcore" else version(package)
        for package, module in installed.items()
    }


@dataclass
class Record:
    """The figures of one workload. Less is better; ratios are to bpcore."""

    workload: str
    unit: str  # "s" or "bytes"
    threads: int
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # row -> contender -> values
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)  # the same of what was reached
    machine: str = field(default_factory=machine)
    date: str = field(default_factory=lambda: time.strftime("%Y-%m-%d"))
    versions: dict[str, str] = field(default_factory=versions)

    def add(self, row: str, values: dict[str, list[float]]) -> None:
        """Adds a row and prints it, so that a long run can be watched."""
        if not self.figures:
            print(f"{self.workload}: {self.machine}, {self.threads} thread(s), {self.date}")
            print("median ± half of the middle half's width, and as a ratio to bpcore's\n")
            print("| | contender | median | ratio | best |\n|---|---|---|---|---|")
        self.figures[row] = values
        own = statistics.median(values["bpcore"])
        for name, found in values.items():
            middle, spread = median_and_spread(found)
            shown, best = readable(middle, self.unit), readable(min(found), self.unit)
            print(f"| {row} | {name} | {shown} ± {spread:.0%} | {middle / own:.2f} | {best} |", flush=True)

    def write(self, path: Path | None) -> None:
        """Writes everything as JSON, unless `path` is None."""
        if path is not None:
            path.write_text(json.dumps(asdict(self), indent=1))

    @staticmethod
    def read(path: Path) -> Record:
        """What `write` has written."""
        return Record(**json.loads(path.read_text()))


def readable(value: float, unit: str) -> str:
    """A figure with a unit of fitting size."""
    if unit == "bytes":
        return f"{value / 2**20:.1f} MiB"
    for scale, name in ((1e-6, "ns"), (1e-3, "µs"), (1.0, "ms")):
        if value < scale:
            return f"{value / scale * 1e3:.3g} {name}"
    return f"{value:.3g} s"
