"""Finds the places in DNA where genes are spliced: exon to intron, intron to exon, or neither.

Reads splice.arff (UCI's Molecular Biology, Splice-junction Gene Sequences): 3,190 pieces of 60 bases. A
convolution finds motifs of seven bases, a dense layer weighs where they are. A fifth of the pieces is held
out for the test, a tenth for validation. Prints the test accuracy and the table of confusions, and writes
splice_junctions.png with the curves.

    python examples/splice_junctions.py FILE [--epochs 20] [--seed 0] [--out FOLDER]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import bpcore as bp
from bpcore import nn, optim, schedules
from bpcore.plotting import plot_history

CLASSES = {"EI": "exon to intron", "IE": "intron to exon", "N": "neither"}
# D, N, S and R stand for bases that are not known exactly.
BASES = {
    "A": "A", "C": "C", "G": "G", "T": "T", "D": "AGT", "N": "ACGT", "S": "CG", "R": "AG",
}  # fmt: skip


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Shares of A, C, G and T at each of 60 places (pieces, 60, 4), and classes (pieces,)."""
    lines = path.read_text("utf-8").partition("@data")[2].splitlines()
    rows = [line.replace(" ", "").split(",")[1:] for line in lines if "," in line]
    share = {base: [(each in known) / len(known) for each in "ACGT"] for base, known in BASES.items()}
    x = np.array([[share[base] for base in row[:-1]] for row in rows], np.float32)
    return x, np.array([list(CLASSES).index(row[-1]) for row in rows])


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns where genes are spliced.")
    parser.add_argument("file", type=Path, help="splice.arff")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        x, y = read(options.file)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"splice_junctions.py: {options.file} can't be read: {error}")

    order = np.random.default_rng(options.seed).permutation(len(x))
    test, validation, learned = np.split(order, [len(order) // 5, len(order) * 3 // 10])
    model = nn.Sequential(
        nn.Conv1D(32, 7, padding="same", activation="relu"),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Dense(64, activation="relu"),
        nn.Dropout(0.5),
        nn.Dense(3),
    )
    steps = options.epochs * -(-len(learned) // 32)
    optimizer = optim.AdamW(schedules.OneCycle(4e-3, steps), weight_decay=1e-2)
    trainer = bp.Trainer(model, "cross_entropy", optimizer, metrics=["accuracy"], seed=options.seed)
    history = trainer.fit(
        x[learned],
        y[learned],
        epochs=options.epochs,
        batch_size=32,
        validation_data=(x[validation], y[validation]),
    )
    predicted = trainer.predict(x[test]).argmax(1)
    print(f"\n{'true class':18}" + "".join(f"{name:>18}" for name in CLASSES.values()))
    for number, name in enumerate(CLASSES.values()):
        counts = np.bincount(predicted[y[test] == number], minlength=3)
        print(f"{name:18}" + "".join(f"{count:18}" for count in counts))
    print(f"{sum(history.seconds):.0f} s of training")
    print(f"test accuracy {(predicted == y[test]).mean():.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    plot_history(history, path=options.out / "splice_junctions.png")


if __name__ == "__main__":
    main()
