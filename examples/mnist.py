"""Trains a 784-512-256-10 network on MNIST, read from a folder with its four (gzipped) IDX files.

Prints loss, accuracy and time of each epoch, then the accuracy on the 10,000 test images.

    python examples/mnist.py FOLDER [--epochs 12] [--seed 0]
"""

import argparse
import sys
from statistics import median

import bpcore as bp
from bpcore import nn, optim, schedules
from bpcore.data import load_mnist


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to read MNIST's digits.")
    parser.add_argument("folder", help="where train-images-idx3-ubyte.gz and the other three files are")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        data = load_mnist(options.folder)
    except (OSError, ValueError) as error:
        sys.exit(f"mnist.py: {error}")

    train, test = (
        images.reshape(len(images), -1).astype("float32") / 255
        for images in (data.train_images, data.test_images)
    )
    model = nn.Sequential(
        nn.Dense(512, activation="relu"),
        nn.Dense(256, activation="relu"),
        nn.Dense(10),
    )
    model.build((None, 784), seed=options.seed)
    model.summary()
    steps = options.epochs * -(-len(train) // options.batch_size)
    optimizer = optim.Adam(
        schedules.Polynomial(1e-3, steps)
    )  # falls to 0 in a line, which settles the weights
    trainer = bp.Trainer(
        model, loss="cross_entropy", optimizer=optimizer, metrics=["accuracy"], seed=options.seed
    )
    history = trainer.fit(train, data.train_labels, epochs=options.epochs, batch_size=options.batch_size)
    for epoch, loss, accuracy, seconds in zip(
        history.epochs, history["loss"], history["accuracy"], history.seconds, strict=True
    ):
        print(f"epoch {epoch:2}: loss {loss:.4f}, accuracy {accuracy:.4f}, {seconds:.2f} s")
    result = trainer.evaluate(test, data.test_labels)
    print(f"test accuracy {result['accuracy']:.4f}, test loss {result['loss']:.4f}")
    print(
        f"{median(history.seconds):.2f} s an epoch (median of {len(history.epochs)}), "
        f"{bp.runtime.threads()} threads"
    )


if __name__ == "__main__":
    main()
