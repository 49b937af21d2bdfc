"""Tells who earns more than 50,000 dollars a year, by a network at the end of a scikit-learn pipeline.

Reads adult-train.csv and adult-test.csv (UCI's Adult, 14 columns of the 1994 census, no header, "?" where a
value is missing). Prints the accuracy and a report on the test set, and writes tabular.png: confusions and
curves.

    python examples/tabular.py FOLDER [--seed 0] [--out FOLDER]
"""

import argparse
import sys
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.metrics import ConfusionMatrixDisplay, classification_report
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from bpcore.sklearn import BackpropClassifier

COLUMNS = [
    "age", "workclass", "weight", "education", "years of education", "marital status", "occupation",
    "relationship", "race", "sex", "capital gain", "capital loss", "hours a week", "country", "income",
]  # fmt: skip


def read(path: Path) -> tuple[pd.DataFrame, pd.Series]:
    """People and whether they earn "over 50K" or "up to 50K"."""
    table = pd.read_csv(path, names=COLUMNS, skipinitialspace=True, na_values="?").dropna(subset=["income"])
    income = table.pop("income").str.rstrip(".")
    return table, income.map({"<=50K": "up to 50K", ">50K": "over 50K"})


def pipeline(seed: int) -> Pipeline:
    """Missing values filled in, kinds as one-hot columns, numbers scaled, and a network."""
    kinds = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="missing"),
        OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32"),
    )
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (kinds, make_column_selector(dtype_exclude="number")),
    )
    network = BackpropClassifier((64, 32), dropout=0.2, early_stopping=True, random_state=seed)
    return Pipeline([("columns", columns), ("network", network)])


def draw(model: Pipeline, x: pd.DataFrame, y: pd.Series, path: Path) -> None:
    """Confusions on the test set, beside loss and validation accuracy by epoch."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    confusions, loss, accuracy = figure.subplots(1, 3)
    shown = ConfusionMatrixDisplay.from_estimator(
        model, x, y, normalize="true", values_format=".1%", cmap="Blues", colorbar=False, ax=confusions
    )
    shown.im_.set_clim(0, 1)
    confusions.set(xlabel="predicted income", ylabel="income")

    network = model.named_steps["network"]
    epochs = range(1, network.n_iter_ + 1)
    best = epochs[network.validation_scores_.index(network.best_validation_score_)]
    loss.plot(epochs, network.loss_curve_, color="#1f5fa8")
    accuracy.plot(epochs, network.validation_scores_, color="#d9662b")
    accuracy.axvline(best, color="0.6", linestyle="--")
    accuracy.text(
        best, 0.02, f" epoch {best} is kept ", transform=accuracy.get_xaxis_transform(), fontsize=9,
        color="0.35", horizontalalignment="right" if best > len(epochs) / 2 else "left",
    )  # fmt: skip
    for panel in (loss, accuracy):
        panel.set_xlabel("epoch")
        panel.grid(visible=True, color="0.9", linewidth=0.8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    titles = ("test set, shares of each class", "training loss", "validation accuracy")
    for panel, title in zip((confusions, loss, accuracy), titles, strict=True):
        panel.set_title(title, loc="left", fontsize=11, fontweight="bold")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns who earns more than 50,000 dollars a year.")
    parser.add_argument("folder", type=Path, help="with adult-train.csv and adult-test.csv")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        (x, y), (test_x, test_y) = (read(options.folder / f"adult-{part}.csv") for part in ("train", "test"))
    except (OSError, ValueError) as error:
        sys.exit(f"tabular.py: {options.folder} can't be read: {error}")

    model = pipeline(options.seed)
    begin = time.perf_counter()
    model.fit(x, y)
    epochs = model.named_steps["network"].n_iter_
    print(
        f"{len(x)} people, {epochs} epochs, {time.perf_counter() - begin:.1f} s of training, columns included"
    )
    print(f"test accuracy {model.score(test_x, test_y):.4f}\n")
    print(classification_report(test_y, model.predict(test_x), digits=3))
    options.out.mkdir(parents=True, exist_ok=True)
    draw(model, test_x, test_y, options.out / "tabular.png")


if __name__ == "__main__":
    main()
