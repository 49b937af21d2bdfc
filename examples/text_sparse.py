"""Tells praise from blame in sentences of movie reviews, by which words and pairs of words are in them.

scikit-learn makes a sparse matrix of tf-idf weights, about 30 to a sentence in 30,000 columns, which the
network reads as it is. FOLDER holds rt-polarity.pos and rt-polarity.neg, a sentence a line; a tenth of them
is held out for the test, a tenth of the rest for early stopping. Prints the test accuracy and writes
text_sparse.png: the curves, and the words that speak most for blame and for praise, by the product of the two
layers' weights.

    python examples/text_sparse.py FOLDER [--epochs 20] [--seed 0] [--out FOLDER]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import bpcore as bp
from bpcore import callbacks, nn, optim

SHOWN = 12  # words on each side


def telling(model: nn.Module, words: np.ndarray) -> list[tuple[str, float]]:
    """The words that change the logit most, were there no ReLU: first those of blame, then of praise."""
    alone = model.parameters["0.weight"] @ model.parameters["3.weight"][:, 0]
    order = np.argsort(alone)
    return [(words[i], float(alone[i])) for i in (*order[:SHOWN], *order[-SHOWN:])]


def draw(history: bp.History, words: list[tuple[str, float]], path: Path) -> None:
    """Curves of loss and accuracy beside the most telling words."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(11, 5), layout="constrained")
    axes = figure.subplot_mosaic([["loss", "words"], ["accuracy", "words"]])
    for name in ("loss", "accuracy"):
        axes[name].plot(history.epochs, history[name], "o-", markersize=4, label="training")
        axes[name].plot(history.epochs, history[f"val_{name}"], "o--", markersize=4, label="validation")
        axes[name].set(xlabel="epoch", ylabel=name)
        axes[name].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes[name].legend()
    names, values = zip(*words, strict=True)
    places = range(len(names))
    axes["words"].barh(places, values, color=["C3" if value < 0 else "C0" for value in values])
    axes["words"].set_yticks(places, names)
    axes["words"].set_title("the most telling words: blame and praise")
    axes["words"].set_xlabel("logit of praise, a unit of the word's tf-idf weight")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns praise and blame from sparse word counts.")
    parser.add_argument("folder", type=Path, help="where rt-polarity.pos and rt-polarity.neg are")
    parser.add_argument("--epochs", type=int, default=20, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        good, bad = (
            (options.folder / f"rt-polarity.{kind}").read_text("utf-8").splitlines()
            for kind in ("pos", "neg")
        )
    except OSError as error:
        sys.exit(f"text_sparse.py: {error}")
    from sklearn.feature_extraction.text import TfidfVectorizer

    sentences = np.array(good + bad)
    labels = np.repeat([1.0, 0.0], [len(good), len(bad)])
    order = np.random.default_rng(options.seed).permutation(len(sentences))
    held_out, learned = order[: len(order) // 10], order[len(order) // 10 :]
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\S+", min_df=2, sublinear_tf=True)
    x = vectorizer.fit_transform(sentences[learned])
    x_held_out = vectorizer.transform(sentences[held_out])
    print(f"{x.shape[0]} sentences, {x.shape[1]} words and pairs, {x.nnz / x.shape[0]:.0f} in a sentence")

    model = nn.Sequential(nn.Dense(32), nn.Dropout(0.5), nn.ReLU(), nn.Dense(1))
    trainer = bp.Trainer(
        model, "binary_cross_entropy", optim.Adam(1e-3), metrics=["accuracy"], seed=options.seed
    )
    history = trainer.fit(
        x,
        labels[learned],
        epochs=options.epochs,
        batch_size=64,
        validation_split=0.1,
        stratify=True,
        callbacks=[callbacks.EarlyStopping(patience=3)],
    )
    print(f"{sum(history.seconds):.1f} s of training")
    print(f"test accuracy {trainer.evaluate(x_held_out, labels[held_out])['accuracy']:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    words = telling(model, vectorizer.get_feature_names_out())
    draw(history, words, options.out / "text_sparse.png")


if __name__ == "__main__":
    main()
