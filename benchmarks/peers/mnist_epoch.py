"""Time of an epoch of MNIST and the accuracy after it, in every contender that is installed.

    python benchmarks/peers/mnist_epoch.py FOLDER [--threads 1] [--rounds 12]

A 784-512-256-10 network, batches of 128, Adam at 1e-3, float32; FOLDER holds the four IDX files.
"""

from __future__ import annotations

from pathlib import Path

from measuring import Record, arguments, parse, take_turns


def main() -> None:
    parser = arguments(__doc__, rounds=11)
    parser.add_argument("folder", type=Path)
    options = parse(parser)
    from contenders import make_contenders
    from dense_network import DenseNetwork

    from bpcore.data import load_mnist

    data = load_mnist(options.folder)
    x, test = (
        images.reshape(len(images), -1).astype("float32") / 255
        for images in (data.train_images, data.test_images)
    )
    network = DenseNetwork((784, 512, 256, 10), 128, x, data.train_labels.astype("int64"))
    contenders = make_contenders(network, options.threads)
    times = take_turns({name: contender.epoch for name, contender in contenders.items()}, options.rounds)
    steps = -(-len(x) // network.batch)
    record = Record("an epoch of MNIST", "s", options.threads)
    record.add(network.name, {name: [value * steps for value in values] for name, values in times.items()})
    print(f"\nafter {options.rounds + 1} epochs each:\n\n| contender | test accuracy |\n|---|---|")
    for name, contender in contenders.items():
        print(f"| {name} | {contender.accuracy(test, data.test_labels.astype('int64')):.4f} |")
    record.write(options.json)


if __name__ == "__main__":
    main()
