"""A bar chart of one workload's figures, as ratios to bpcore.

python benchmarks/peers/chart.py results.json chart.png
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib import ticker
from measuring import Record, readable

mpl.use("Agg")
import matplotlib.pyplot as plt

COLOURS = {
    "bpcore": "black",
    "pytorch": "#d9552c",
    "pytorch_compiled": "#f0a27f",
    "jax": "#3f6fb5",
    "jax_jit": "#8fb1de",
    "jax_scan": "#3f6fb5",
    "sklearn": "#e0b13c",
    "numpy": "#5f9e6e",
}


def draw(record: Record, path: Path) -> None:
    """A group of bars a row, from bpcore's figure at 1 to each contender's; the scale is logarithmic."""
    contenders = [name for name in next(iter(record.figures.values())) if name != "bpcore"]
    thickness = 0.8 / len(contenders)
    inches = max(2.5, 0.13 * len(record.figures) * (len(contenders) + 1))
    figure, axes = plt.subplots(figsize=(9, inches + 1.5), layout="constrained")
    labels = []
    largest = 1.0
    for row, values in enumerate(record.figures.values()):
        own = statistics.median(values["bpcore"])
        labels.append(readable(own, record.unit))
        for i, name in enumerate(contenders):
            ratio = statistics.median(values[name]) / own
            largest = max(largest, ratio)
            y = row - 0.4 + (i + 0.5) * thickness
            label = name if row == 0 else None
            axes.barh(y, ratio - 1, thickness, left=1, color=COLOURS.get(name, "#999999"), label=label)
            axes.annotate(
                f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}",
                (max(ratio, 1), y),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=6,
            )
    axes.set_xscale("log")
    axes.set_xlim(right=largest * 1.6)
    axes.axvline(1, color="black", linewidth=1)
    rows = [f"{row}   (bpcore {own})" for row, own in zip(record.figures, labels, strict=True)]
    axes.set_yticks(range(len(rows)), rows, fontsize=8)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    quantity = "memory" if record.unit == "bytes" else "time"
    axes.set_xlabel(f"{quantity}, in multiples of bpcore's: to the right of 1 is worse")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    figure.legend(fontsize=8, loc="outside lower center", ncols=len(contenders))
    versions = ", ".join(f"{name} {number}" for name, number in record.versions.items())
    axes.set_title(
        f"{record.workload[0].upper()}{record.workload[1:]}\n"
        f"{record.machine}, {record.threads} thread(s), {record.date}\n{versions}",
        fontsize=9,
    )
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="what a workload has written with --json")
    parser.add_argument("chart", type=Path, help="the PNG to write")
    options = parser.parse_args()
    draw(Record.read(options.results), options.chart)


if __name__ == "__main__":
    main()
