"""Watches gradients vanish, flow and explode in networks of 20 layers that learn handwritten digits.

Trains three networks on scikit-learn's 1,797 digits (8 x 8 pixels) with the callback GradientHealth:
  sigmoid   20 layers of sigmoid, plain initialisation: gradients shrink layer by layer, it learns nothing
  relu      the same depth with ReLU, He initialisation and BatchNorm: it learns
  too fast  the second with plain SGD and a learning rate 100 times too large, without BatchNorm: it explodes
Prints what the monitor found in each, and the test accuracy; draws the gradients by layer of each network.

    python examples/vanishing_gradients.py [--out FOLDER] [--epochs 20]
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import bpcore as bp
from bpcore import callbacks, nn, optim

DEPTH, WIDTH = 20, 64


def sigmoid_network() -> nn.Sequential:
    return nn.Sequential(*(nn.Dense(WIDTH, "sigmoid") for _ in range(DEPTH - 1)), nn.Dense(10))


def relu_network(normalized: bool = True) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(DEPTH - 1):
        layers.append(nn.Dense(WIDTH, kernel_init="he_normal"))
        if normalized:
            layers.append(nn.BatchNorm())
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Dense(10))


def main() -> None:
    parser = argparse.ArgumentParser(description="Shows vanishing and exploding gradients by layer.")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the pictures (default: here)")
    parser.add_argument("--epochs", type=int, default=20)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    images, labels = load_digits(return_X_y=True)
    images = images / 16.0  # pixels are 0 to 16
    order = np.random.default_rng(0).permutation(len(images))
    test, train = order[:360], order[360:]
    warnings.simplefilter("ignore", bp.HealthWarning)  # printed below instead

    for name, model, optimizer in (
        ("sigmoid", sigmoid_network(), optim.SGD(0.1, momentum=0.9)),
        ("relu", relu_network(), optim.SGD(0.1, momentum=0.9)),
        ("too fast", relu_network(normalized=False), optim.SGD(1.0, momentum=0.9)),
    ):
        trainer = bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"])
        try:
            trainer.fit(
                images[train],
                labels[train],
                epochs=options.epochs,
                batch_size=64,
                callbacks=[callbacks.GradientHealth(every=1)],  # so that the explosion is seen
                progress=False,
            )
        except FloatingPointError as error:
            print(f"{name}: {error}")
        result = trainer.evaluate(images[test], labels[test])
        print(f"{name}: test accuracy {result['accuracy']:.4f}")
        print(trainer.health.report())
        picture = options.out / f"gradients_{name.replace(' ', '_')}.png"
        trainer.health.plot(path=picture)
        print(f"written: {picture}\n")


if __name__ == "__main__":
    main()
