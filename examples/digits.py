"""Trains a dense network on the 1,797 handwritten digits (8 x 8 pixels) that scikit-learn ships.

Prints the model, a progress bar and the accuracy on digits it has not seen; writes digits.safetensors (the
trained network) and digits.png (curves of loss and accuracy).

    python examples/digits.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import bpcore as bp
from bpcore import nn, optim


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to read handwritten digits.")
    parser.add_argument(
        "--out", type=Path, default=Path(), help="folder for the files written (default: here)"
    )
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    images = images / 16.0  # pixels are 0 to 16
    order = np.random.default_rng(0).permutation(len(images))
    test, validation, train = order[:360], order[360:540], order[540:]

    model = nn.Sequential(
        nn.Dense(128, activation="relu"),
        nn.Dense(64, activation="relu"),
        nn.Dense(10),
    )
    model.build((None, 64), seed=options.seed)
    model.summary()

    trainer = bp.Trainer(
        model, loss="cross_entropy", optimizer=optim.Adam(2e-3), metrics=["accuracy"], seed=options.seed
    )
    history = trainer.fit(
        images[train],
        labels[train],
        epochs=options.epochs,
        batch_size=32,
        validation_data=(images[validation], labels[validation]),
    )
    result = trainer.evaluate(images[test], labels[test])
    print(f"test accuracy {result['accuracy']:.4f} on {len(test)} digits that training has not seen")

    options.out.mkdir(parents=True, exist_ok=True)
    trainer.save(options.out / "digits.safetensors")
    history.plot(path=options.out / "digits.png")
    print(f"written: {options.out / 'digits.safetensors'}, {options.out / 'digits.png'}")


if __name__ == "__main__":
    main()
