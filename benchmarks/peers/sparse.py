"""An epoch over sparse words: a matrix in compressed rows against the same one made dense.

    python benchmarks/peers/sparse.py FOLDER [--threads 1] [--rounds 7]

FOLDER holds rt-polarity.pos and rt-polarity.neg; tf-idf of their 20,000 most frequent words and pairs of
words goes into 64 units, in batches of 128. Both begin with the same weights, and have the same ones in the
end. scikit-learn's network reads the sparse matrix, too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Record, arguments, parse, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    import bpcore as bp

COLUMNS, UNITS, BATCH, CLOSE = 20_000, 64, 128, 1e-5


def read(folder: Path) -> tuple[Any, np.ndarray]:
    """The tf-idf matrix (sentences, COLUMNS) and its classes."""
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer

    lines = [(folder / f"rt-polarity.{kind}").read_text("utf-8").splitlines() for kind in ("neg", "pos")]
    vectorizer = TfidfVectorizer(
        max_features=COLUMNS, ngram_range=(1, 2), token_pattern=r"\S+", dtype=np.float32
    )
    matrix = vectorizer.fit_transform(lines[0] + lines[1])
    return matrix, np.repeat([0, 1], [len(part) for part in lines])


def trainer_of(optimizer: Any, threads: int) -> bp.Trainer:
    """A new trainer; all of them begin alike."""
    import bpcore as bp
    from bpcore import nn

    model = nn.Sequential(nn.Dense(UNITS, activation="relu"), nn.Dense(2))
    return bp.Trainer(model, "cross_entropy", optimizer, threads=threads)


def epochs(trainer: bp.Trainer, x: Any, y: np.ndarray) -> Callable[[], int]:
    """What trains for an epoch."""

    def epoch() -> int:
        trainer.fit(x, y, epochs=1, batch_size=BATCH, progress=False)
        return 1

    return epoch


def peer(solver: str, rate: float, x: Any, y: np.ndarray) -> Callable[[], int]:
    """An epoch of scikit-learn's."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(
        (UNITS,), solver=solver, learning_rate_init=rate, alpha=0, batch_size=BATCH, momentum=0,
        nesterovs_momentum=False, n_iter_no_change=10**9,
    )  # fmt: skip

    def epoch() -> int:
        model.partial_fit(x, y, classes=[0, 1])
        return 1

    return epoch


def main() -> None:
    parser = arguments(__doc__, rounds=7)
    parser.add_argument("folder", type=Path)
    options = parse(parser)
    # Libraries are loaded once their threads are settled.
    import numpy as np

    from bpcore import optim

    x, y = read(options.folder)
    dense = x.toarray()
    record = Record(f"an epoch over {x.shape[0]} x {x.shape[1]}, {x.nnz} not zero", "s", options.threads)
    cases = {
        "SGD": (lambda: optim.SGD(0.1), ("sgd", 0.1)),
        "SGD with momentum": (lambda: optim.SGD(0.1, momentum=0.9), None),
        "Adam": (lambda: optim.Adam(1e-3), ("adam", 1e-3)),
        "lazy Adam": (lambda: optim.Adam(1e-3, lazy=True), None),
    }
    differences = {}
    for name, (make, solver) in cases.items():
        trainers = {"bpcore": trainer_of(make(), options.threads)}
        contenders = {"bpcore": epochs(trainers["bpcore"], x, y)}
        if name != "lazy Adam":  # of a dense matrix, every row of the weight has a gradient
            trainers["bpcore, made dense"] = trainer_of(make(), options.threads)
            contenders["bpcore, made dense"] = epochs(trainers["bpcore, made dense"], dense, y)
        if solver is not None:
            contenders["scikit-learn"] = peer(*solver, x, y)
        record.add(name, take_turns(contenders, options.rounds))
        if len(trainers) == 2:
            one, other = (trainer.parameters.values() for trainer in trainers.values())
            differences[name] = max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))
    print(f"\nlargest difference of a weight from that of the dense matrix, {options.rounds + 1} epochs:\n")
    for name, difference in differences.items():
        print(f"- {name}: {difference:.2g}")
        if not difference <= CLOSE:
            raise SystemExit(f"{name}: the weights differ by more than {CLOSE}")
    record.write(options.json)


if __name__ == "__main__":
    main()
