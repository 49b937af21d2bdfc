"""Time of an epoch of MNIST and the accuracy after it, in every contender that is installed.

    python benchmarks/peers/mnist_epoch.py FOLDER [--threads 1] [--rounds 12]

A 784-512-256-10 network, batches of 128, Adam at 1e-3, float32; FOLDER holds the four IDX files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dense_network import DenseNetwork, machine, make_contenders, median_and_spread, take_turns

from bpcore.data import load_mnist


def main() -> None:
    parser = argparse.ArgumentParser(description="Times epochs of MNIST.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()

    data = load_mnist(options.folder)
    x, test = (
        images.reshape(len(images), -1).astype("float32") / 255
        for images in (data.train_images, data.test_images)
    )
    network = DenseNetwork((784, 512, 256, 10), 128, x, data.train_labels.astype("int64"))
    contenders = make_contenders(network, options.threads)
    times = take_turns(contenders, options.rounds)
    steps = -(-len(x) // network.batch)
    print(f"{machine()}, {options.threads} thread(s); {options.rounds + 1} epochs each, taking turns\n")
    print("| contender | s an epoch | test accuracy |\n|---|---|---|")
    for name, values in times.items():
        middle, spread = median_and_spread([value * steps for value in values])
        accuracy = contenders[name].accuracy(test, data.test_labels.astype("int64"))
        print(f"| {name} | {middle:.2f} ± {spread:.0%} | {accuracy:.4f} |")


if __name__ == "__main__":
    main()
