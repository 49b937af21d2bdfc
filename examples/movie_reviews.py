"""Tells praise from blame in sentences of movie reviews, with a convolutional network over words.

The network is Y. Kim's CNN-rand (2014): words as vectors that are learned too, convolutions over 3, 4 and 5
words, the largest response of each filter, dropout. FOLDER holds rt-polarity.pos and rt-polarity.neg, a
sentence a line; a tenth of them is held out for the test, a tenth for validation. Prints the test accuracy,
some sentences with what the network thinks of them, and writes movie_reviews.png with the curves.

    python examples/movie_reviews.py FOLDER [--epochs 10] [--seed 0] [--out FOLDER]
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import bpcore as bp
from bpcore import nn, optim
from bpcore.data import Vocabulary, pad_sequences
from bpcore.plotting import plot_history

SHOWN = (
    "a warm , funny and beautifully acted film",
    "two hours of my life that i will never get back",
    "the plot is thin but the cast is a delight",
    "it tries hard to be clever and never is",
)


class WordFilters(nn.Module):
    """Logits for (batch, words) tokens: the largest response to each pattern of 3, 4 and 5 words."""

    def __init__(self, words: int, width: int = 128, filters: int = 100) -> None:
        self.embedding = nn.Embedding(words, width, init=nn.init.Uniform(-0.25, 0.25))
        self.filters = [nn.Conv1D(filters, size, activation="relu") for size in (3, 4, 5)]
        self.pool = nn.GlobalMaxPool1D()
        self.concatenated = nn.Dropout(0.5)
        self.out = nn.Dense(1)

    def __call__(self, tokens):
        x = self.embedding(tokens)
        found = bp.ops.concatenate([self.pool(layer(x)) for layer in self.filters], axis=-1)
        return self.out(self.concatenated(found))[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns what movie reviews think of movies.")
    parser.add_argument("folder", type=Path, help="where rt-polarity.pos and rt-polarity.neg are")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        good, bad = (
            (options.folder / f"rt-polarity.{kind}").read_text("utf-8").splitlines()
            for kind in ("pos", "neg")
        )
    except OSError as error:
        sys.exit(f"movie_reviews.py: {error}")

    sentences = [line.split() for line in good + bad]
    labels = np.repeat([1.0, 0.0], [len(good), len(bad)])
    order = np.random.default_rng(options.seed).permutation(len(sentences))
    test, validation, learned = np.split(order, [len(order) // 10, len(order) // 5])
    # Only words of the sentences that are learned from have a number of their own.
    vocabulary = Vocabulary(
        (word for i in learned for word in sentences[i]), padding="<pad>", unknown="<unk>", min_count=2
    )
    length = max(map(len, sentences))
    tokens, _ = pad_sequences([vocabulary.encode(words) for words in sentences], length=length)

    model = WordFilters(len(vocabulary))
    trainer = bp.Trainer(
        model, "binary_cross_entropy", optim.Adam(5e-4), metrics=["accuracy"], seed=options.seed
    )
    history = trainer.fit(
        tokens[learned],
        labels[learned],
        epochs=options.epochs,
        batch_size=50,
        validation_data=(tokens[validation], labels[validation]),
    )
    for sentence in SHOWN:
        row, _ = pad_sequences([vocabulary.encode(sentence.split())], length=length)
        print(f"{1 / (1 + np.exp(-trainer.predict(row)[0])):6.1%} praise: {sentence}")
    print(f"{sum(history.seconds):.0f} s of training")
    print(f"test accuracy {trainer.evaluate(tokens[test], labels[test])['accuracy']:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    plot_history(history, path=options.out / "movie_reviews.png")


if __name__ == "__main__":
    main()
