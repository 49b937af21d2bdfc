"""Overfitting, and three ways against it: a penalty on the weights, dropout, stopping early.

Trains the same network four times on 300 of the handwritten digits that scikit-learn ships, 30 % of which get
a random label. Validation is on 700 other digits with their true labels. Prints loss and accuracy at the end,
and writes regularization.png, with a panel of curves for each run.

What one sees: without regularisation, the network learns the wrong labels by heart. Its training loss goes to
0, but its validation loss is lowest after about 16 epochs and nearly doubles from there on. With the penalty
both losses stay where they are: about 0.95 in training, since wrong labels are not learned. With dropout the
validation loss falls slowly, but to the lowest value of all, and rises late and little; the curve of training
is higher than that of validation at first, since units are dropped in it. Stopping early takes the best
network of the first run, after a sixth of the epochs.

    python examples/regularization.py [--out FOLDER]
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_digits

import bpcore as bp
from bpcore import nn, optim
from bpcore.callbacks import EarlyStopping

TRAINING, VALIDATION, REFERENCE = "#1f5fa8", "#d9662b", "0.65"


def network(dropout: float = 0.0) -> nn.Sequential:
    return nn.Sequential(
        nn.Dense(256, "relu"), nn.Dropout(dropout), nn.Dense(256, "relu"), nn.Dropout(dropout), nn.Dense(10)
    )


def draw(histories: dict[str, bp.History], path: Path) -> None:
    """One panel for each run, all on the same axes; the validation loss of the first stands in all others."""
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    panels = figure.subplots(1, len(histories), sharex=True, sharey=True)
    first = next(iter(histories.values()))
    for panel, (name, history) in zip(panels, histories.items(), strict=True):
        if history is not first:
            panel.plot(
                first.epochs,
                first["val_loss"],
                color=REFERENCE,
                linewidth=1.2,
                label="validation, first panel",
            )
        panel.plot(history.epochs, history["loss"], color=TRAINING, linewidth=1.6, label="training")
        panel.plot(
            history.epochs, history["val_loss"], "--", color=VALIDATION, linewidth=1.6, label="validation"
        )
        best = int(np.argmin(history["val_loss"]))
        panel.plot(
            history.epochs[best],
            history["val_loss"][best],
            "o",
            color=VALIDATION,
            markersize=5,
            label="lowest validation",
        )
        panel.set_title(name, loc="left", fontsize=11, fontweight="bold")
        panel.set_xlabel("epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(0, 1.1 * max(max(history["val_loss"]) for history in histories.values()))
    panels[0].set_ylabel("loss (cross-entropy)")
    panels[-1].legend(frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares ways against overfitting.")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    images, labels = load_digits(return_X_y=True)
    images = images / 16.0  # pixels are 0 to 16
    rng = np.random.default_rng(0)
    order = rng.permutation(len(images))
    train, validation = order[:300], order[300:1000]
    learned = np.where(rng.random(300) < 0.3, rng.integers(0, 10, 300), labels[train])

    runs = {
        "no regularisation": (network(), {}, []),
        "L2 penalty": (network(), {"regularizer": nn.L2(1e-2)}, []),
        "dropout": (network(0.6), {}, []),
        "early stopping": (network(), {}, [EarlyStopping("val_loss", patience=20)]),
    }
    histories = {}
    print(f"{'':20}{'epochs':>8}{'training':>22}{'validation':>22}")
    for name, (model, settings, callbacks) in runs.items():
        trainer = bp.Trainer(
            model, "cross_entropy", optim.Adam(1e-3), metrics=["accuracy"], seed=options.seed, **settings
        )
        held_out = images[validation], labels[validation]
        histories[name] = trainer.fit(
            images[train],
            learned,
            epochs=options.epochs,
            batch_size=32,
            validation_data=held_out,
            callbacks=callbacks,
            progress=False,
        )
        both = trainer.evaluate(images[train], learned), trainer.evaluate(*held_out)
        values = "".join(f"  loss {each['loss']:.3f}, {each['accuracy']:6.1%}" for each in both)
        print(f"{name:20}{trainer.epochs:8}{values}")

    options.out.mkdir(parents=True, exist_ok=True)
    draw(histories, options.out / "regularization.png")
    print(f"written: {options.out / 'regularization.png'}")


if __name__ == "__main__":
    main()
