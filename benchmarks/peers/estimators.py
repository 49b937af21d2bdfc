"""Time of `fit` and what it reaches: bpcore's scikit-learn estimators beside scikit-learn's own.

    python benchmarks/peers/estimators.py FOLDER [--threads 1] [--rounds 5] [--only adult] [--cpu]

FOLDER holds adult-train.csv, adult-test.csv and cal.housing.arff; the others come with
scikit-learn. Both libraries get the same settings and the same data. Round n is seed n, of the estimator and,
except for adult, of the split. Scores are of samples that were held out; nothing is chosen by them. The
settings of housing did best in a cross-validation on four fifths of it, the others are defaults.
"""

from __future__ import annotations

import statistics
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from measuring import Record, arguments, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


class Task(NamedTuple):
    name: str
    kind: str  # "Classifier" or "Regressor"
    settings: dict[str, Any]
    folds: Callable[[int], list[Any]]  # seed -> (x, y, held-out x, held-out y), scaled, one a fold


def split(x: np.ndarray, y: np.ndarray, share: float, seed: int, stratify: bool) -> list[Any]:
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    a, b, c, d = train_test_split(x, y, test_size=share, random_state=seed, stratify=y if stratify else None)
    scaler = StandardScaler().fit(a)
    return [(scaler.transform(a), c, scaler.transform(b), d)]


def crossed(x: np.ndarray, y: np.ndarray, seed: int) -> list[Any]:
    from sklearn.model_selection import StratifiedKFold
    from sklearn.preprocessing import StandardScaler

    found = []
    for train, test in StratifiedKFold(5, shuffle=True, random_state=seed).split(x, y):
        scaler = StandardScaler().fit(x[train])
        found.append((scaler.transform(x[train]), y[train], scaler.transform(x[test]), y[test]))
    return found


def adult(folder: Path) -> tuple[Any, ...]:
    import pandas as pd
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    options = {"header": None, "skipinitialspace": True, "na_values": "?"}
    train, test = (
        pd.read_csv(folder / f"adult-{part}.csv", **options).dropna(how="all") for part in ("train", "test")
    )
    columns = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    x = columns.fit_transform(train.iloc[:, :14])
    rich = (part[14].str.startswith(">50K").to_numpy().astype(int) for part in (train, test))
    y, held_out = rich
    return x, y, columns.transform(test.iloc[:, :14]), held_out


def housing(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    import numpy as np

    rows = (folder / "cal.housing.arff").read_text().partition("@data")[2].split()
    table = np.array([row.split(",") for row in rows], float)
    return table[:, :-1], table[:, -1] / 1e5


def tasks(folder: Path) -> list[Task]:
    from sklearn.datasets import load_breast_cancer, load_digits, load_iris

    iris, cancer, digits = (load(return_X_y=True) for load in (load_iris, load_breast_cancer, load_digits))
    census, homes = adult(folder), housing(folder)
    stops = {"early_stopping": True}
    return [
        Task("iris, 5 folds", "Classifier", {}, lambda seed: crossed(*iris, seed)),
        Task("breast cancer, 5 folds", "Classifier", {}, lambda seed: crossed(*cancer, seed)),
        Task("digits, a fifth held out", "Classifier", {}, lambda seed: split(*digits, 0.2, seed, True)),
        Task("adult, float64", "Classifier", stops, lambda _: [census]),
        Task(
            "adult, float32",
            "Classifier",
            stops,
            lambda _: [tuple(part.astype("float32") for part in census)],
        ),
        Task(
            "housing, a fifth held out",
            "Regressor",
            {"hidden_layer_sizes": (128, 64), "n_iter_no_change": 20, **stops},
            lambda seed: split(*homes, 0.2, seed, False),
        ),
    ]


def main() -> None:
    parser = arguments(__doc__, rounds=5)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="", help="the tasks whose names begin with this")
    parser.add_argument("--cpu", action="store_true", help="CPU time, for a machine that others use, too")
    options = parse(parser)
    # Libraries are loaded once their threads are settled.
    from sklearn import neural_network

    import bpcore.sklearn

    warnings.simplefilter("ignore")  # of both, that they reach max_iter
    clock = time.process_time if options.cpu else time.perf_counter
    record = Record(f"fit of an estimator{', CPU time' if options.cpu else ''}", "s", options.threads)
    for task in tasks(options.folder):
        if not task.name.startswith(options.only):
            continue
        kinds = {
            "bpcore": getattr(bpcore.sklearn, f"Backprop{task.kind}"),
            "sklearn": getattr(neural_network, f"MLP{task.kind}"),
        }
        seconds: dict[str, list[float]] = {name: [] for name in kinds}
        scores: dict[str, list[float]] = {name: [] for name in kinds}
        for seed in range(options.rounds):
            folds = task.folds(seed)
            for name, kind in kinds.items():
                spent, reached = 0.0, []
                for x, y, held_out_x, held_out_y in folds:
                    estimator = kind(random_state=seed, **task.settings)
                    begin = clock()
                    estimator.fit(x, y)
                    spent += clock() - begin
                    reached.append(estimator.score(held_out_x, held_out_y))
                seconds[name].append(spent)
                scores[name].append(statistics.mean(reached))
        record.add(task.name, seconds)
        record.scores[task.name] = scores
    print("\n| | contender | mean score | least | most |\n|---|---|---|---|---|")
    for row, by_name in record.scores.items():
        for name, found in by_name.items():
            print(f"| {row} | {name} | {statistics.mean(found):.4f} | {min(found):.4f} | {max(found):.4f} |")
    record.write(options.json)


if __name__ == "__main__":
    main()
