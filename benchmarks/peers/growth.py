"""How the time of a training step grows with batch, width and depth.

    python benchmarks/peers/growth.py [--threads 1] [--quick] [--json results.json] [--png growth.png]

One of the three moves, the others stay: batch 64, width 128, two hidden layers, 64 inputs, 10 classes. What
takes long to compile (torch.compile) or is much like another contender (scikit-learn) stays out.
"""

from __future__ import annotations

import statistics
from pathlib import Path

from measuring import Record, arguments, parse, take_turns

CONTENDERS = ("bpcore", "pytorch", "jax_jit", "jax_scan", "numpy")
POINTS = {
    "batch": [2**i for i in range(13)],  # 1 … 4096
    "width": [2**i for i in range(3, 13)],  # 8 … 4096
    "depth": [2**i for i in range(7)],  # 1 … 64
}


def draw(record: Record, path: Path) -> None:
    """One panel for each of batch, width and depth, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt
    from chart import COLOURS

    figure, panels = plt.subplots(1, len(POINTS), figsize=(13, 4.6), sharey=True, layout="constrained")
    for panel, axis in zip(panels, POINTS, strict=True):
        rows = [row.split() for row in record.figures]
        values = [int(value) for name, value in rows if name == axis]
        for contender in record.figures[f"{axis} {values[0]}"]:
            figures = [record.figures[f"{axis} {value}"][contender] for value in values]
            medians = [statistics.median(each) * 1e6 for each in figures]
            width = 2.5 if contender == "bpcore" else 1.2
            style = {"color": COLOURS[contender], "linewidth": width, "label": contender}
            panel.loglog(values, medians, marker="o", markersize=3, **style)
        panel.set_xlabel(axis)
        panel.set_xscale("log", base=2)
        panel.xaxis.set_major_formatter(mpl.ticker.FormatStrFormatter("%g"))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("µs a training step")
    panels[0].legend()
    figure.suptitle(
        "Time of a training step (batch 64, width 128, 2 hidden layers, one of them varied)\n"
        f"{record.machine}, {record.threads} thread(s), {record.date}",
        fontsize=10,
    )
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("--png", type=Path, help="draw the curves to this file")
    options = parse(parser)
    from contenders import make_contenders
    from dense_network import DenseNetwork

    record = Record("growth of a training step", "s", options.threads)
    for axis, values in POINTS.items():
        for value in values[::3] if options.quick else values:
            fixed = {"batch": 64, "width": 128, "depth": 2, axis: value}
            sizes = (64, *fixed["depth"] * (fixed["width"],), 10)
            flops = DenseNetwork(sizes, fixed["batch"], None, None).flops
            # About 20 ms a round. Deep networks drift apart after a few steps: three losses are compared.
            steps = min(max(10, int(2e9 / flops)), 1000)
            network = DenseNetwork.on_noise(sizes, fixed["batch"], steps)
            made = make_contenders(network, options.threads, CONTENDERS, compared=3)
            times = take_turns({name: each.epoch for name, each in made.items()}, options.rounds)
            record.add(f"{axis} {value}", times)
    record.write(options.json)
    if options.png:
        draw(record, options.png)


if __name__ == "__main__":
    main()
