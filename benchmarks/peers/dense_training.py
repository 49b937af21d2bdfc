"""Time of one training step of dense networks, in every contender that is installed.

    taskset -c 0 python benchmarks/peers/dense_training.py [--threads 1] [--json results.json]

A step is forward, cross-entropy, backward and Adam on one batch, float32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from dense_network import DenseNetwork, machine, make_contenders, median_and_spread, take_turns

# sizes, batch, steps a round
WORKLOADS = (
    ((10, 32, 10), 1, 20000),
    ((10, 64, 64, 10), 32, 2000),
    ((784, 128, 10), 32, 400),
    ((784, 128, 10), 128, 200),
    ((784, 256, 256, 10), 256, 100),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="Times training steps of dense networks.")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    options = parser.parse_args()

    print(f"{machine()}, {options.threads} thread(s); µs a step, median ± half of the middle half's width\n")
    print(
        "| network | contender | median | to bpcore | best | to bpcore | best GFLOP/s |\n" + "|---" * 7 + "|"
    )
    results = {}
    for sizes, batch, steps in WORKLOADS:
        network = DenseNetwork.on_noise(sizes, batch, steps)
        times = take_turns(make_contenders(network, options.threads), options.rounds)
        own, _ = median_and_spread(times["bpcore"])
        for name, values in times.items():
            middle, spread = median_and_spread(values)
            best = min(values)
            print(
                f"| {network.name} | {name} | {middle * 1e6:.2f} ± {spread:.0%} | {middle / own:.2f} "
                f"| {best * 1e6:.2f} | {best / min(times['bpcore']):.2f} | {network.flops / best / 1e9:.1f} |"
            )
        results[network.name] = times
    if options.json:
        record = {"machine": machine(), "threads": options.threads, "seconds a step": results}
        options.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
