"""Trains a convolutional network on MNIST or Fashion-MNIST, from a folder with the four (gzipped) IDX files.

Two convolutions, each with batch normalisation and max pooling, then a dense layer with dropout. One in sixty
training images is held out for validation. Prints loss, accuracy and time of each epoch and the accuracy on
the 10,000 test images, and writes images.png: the curves, and the test images that the network is most
wrongly sure of.

    python examples/images.py FOLDER [--epochs 12] [--seed 0] [--out FOLDER]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

import bpcore as bp
from bpcore import nn, optim, schedules
from bpcore.data import load_mnist

FASHION = ["T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"]


def network(dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2D(32, 3, padding="same", use_bias=False),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Conv2D(64, 3, padding="same", use_bias=False),
        nn.BatchNorm(),
        nn.ReLU(),
        nn.MaxPool2D(2),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Dense(128, activation="relu"),
        nn.Dropout(dropout),
        nn.Dense(10),
    )


def draw(
    history: bp.History,
    images: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    names: list[str],
    path: Path,
) -> None:
    """Training and validation accuracy, and 24 wrong predictions, the surest first."""
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.9])
    panel = left.subplots()
    panel.plot(history.epochs, history["accuracy"], "o-", color="#1f5fa8", label="training, with dropout")
    panel.plot(history.epochs, history["val_accuracy"], "o--", color="#d9662b", label="validation")
    panel.set_xlabel("epoch")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.set_title("accuracy", loc="left", fontsize=11, fontweight="bold")
    panel.grid(visible=True, color="0.9", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False, fontsize=9)

    predicted = scores.argmax(1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-scores[wrong].max(1))][:24]
    right.suptitle("the surest of the wrong predictions: predicted above, true below", fontsize=11)
    for cell, index in zip(right.subplots(3, 8).flat, surest, strict=False):
        cell.imshow(images[index], cmap="gray_r")
        cell.set_title(names[predicted[index]], fontsize=8)
        cell.set_xlabel(names[labels[index]], fontsize=8)
        cell.set_xticks([])
        cell.set_yticks([])
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to tell images apart.")
    parser.add_argument("folder", type=Path, help="where train-images-idx3-ubyte.gz and the other three are")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        data = load_mnist(options.folder)
    except (OSError, ValueError) as error:
        sys.exit(f"images.py: {error}")
    names = FASHION if "fashion" in options.folder.name else [str(digit) for digit in range(10)]

    train, test = (
        images[..., np.newaxis].astype("float32") / 255 for images in (data.train_images, data.test_images)
    )
    model = network(options.dropout)
    model.build((options.batch_size, 28, 28, 1), seed=options.seed)
    model.summary()
    kept = len(train) * 59 // 60  # little: how long it trains is settled, the rest only draws a curve
    steps = options.epochs * -(-kept // options.batch_size)
    optimizer = optim.AdamW(schedules.OneCycle(3e-3, steps), weight_decay=1e-2)
    trainer = bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], seed=options.seed)
    history = trainer.fit(
        train[:kept],
        data.train_labels[:kept],
        epochs=options.epochs,
        batch_size=options.batch_size,
        validation_data=(train[kept:], data.train_labels[kept:]),
    )
    for epoch, loss, accuracy, held_out, seconds in zip(
        history.epochs,
        history["loss"],
        history["accuracy"],
        history["val_accuracy"],
        history.seconds,
        strict=True,
    ):
        print(
            f"epoch {epoch:2}: loss {loss:.4f}, accuracy {accuracy:.4f}, "
            f"validation {held_out:.4f}, {seconds:.1f} s"
        )
    print(f"test accuracy {trainer.evaluate(test, data.test_labels)['accuracy']:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    draw(
        history, data.test_images, trainer.predict(test), data.test_labels, names, options.out / "images.png"
    )
    print(f"written: {options.out / 'images.png'}")


if __name__ == "__main__":
    main()
