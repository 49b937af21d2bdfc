"""validation_split with stratify: which samples are kept, and that it trains on the others."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bpcore as bp
from bpcore import intake, optim
from bpcore.intake.split import split
from bpcore.losses import resolve
from tests.training.problems import bits, blobs, network, regression
from tests.training.refusal import assert_refused, trained

X, Y = blobs(40)
Y = np.where(np.arange(40) % 4 == 0, 0, Y)


def _parts(y: Any, fraction: float, stratify: Any = True, loss: str = "cross_entropy") -> tuple[Any, Any]:
    """The rows of both sides."""
    x = intake.Group([np.zeros((len(y), 1))], None)
    data = intake.samples("fit", x, intake.Group([y], None), None, "float32", True)
    return tuple(part.selected for part in split(data, fraction, stratify, resolve(loss)))  # type: ignore[return-value]


def test_it_is_training_and_validation_on_copies_of_these_rows() -> None:
    kept, held = _parts(Y, 0.25)
    weight = np.random.default_rng(0).uniform(0.5, 2, 40)
    for options in ({}, {"sample_weight": weight}):
        whole, parted = (bp.Trainer(network(6, 3), "cross_entropy", metrics=["accuracy"]) for _ in range(2))
        history = whole.fit(
            X, Y, epochs=3, batch_size=8, validation_split=0.25, stratify=True, progress=False, **options
        )
        rest = {name: value[kept] for name, value in options.items()}
        expected = parted.fit(
            X[kept], Y[kept], epochs=3, batch_size=8, progress=False, **rest,
            validation_data=(X[held], Y[held], *(value[held] for value in options.values())),
        )  # fmt: skip
        assert bits(whole) == bits(parted)
        assert {name: history[name] for name in history} == {name: expected[name] for name in expected}


def test_it_goes_with_lbfgs_which_wants_all_rows_at_once() -> None:
    kept, _ = _parts(Y, 0.25)
    whole, parted = (
        bp.Trainer(network(3), "cross_entropy", optim.LBFGS(), dtype="float64") for _ in range(2)
    )
    whole.fit(X, Y, epochs=2, batch_size=40, validation_split=0.25, stratify=True, progress=False)
    parted.fit(X[kept], Y[kept], epochs=2, batch_size=40, progress=False)
    assert bits(whole) == bits(parted)


def test_the_last_of_each_class_are_kept_in_proportion() -> None:
    y = np.array([0] * 10 + [1] * 20 + [2] * 30)
    kept, held = _parts(y, 0.2)
    assert held.tolist() == [8, 9, 26, 27, 28, 29, *range(54, 60)]
    assert sorted([*kept, *held]) == list(range(60))
    order = np.random.default_rng(0).permutation(60)
    _, held = _parts(y[order], 0.2)
    for label, count in ((0, 2), (1, 4), (2, 6)):
        rows = np.flatnonzero(y[order] == label)
        assert [row for row in held if y[order][row] == label] == rows[-count:].tolist()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.floats(0.05, 0.95))
def test_counts_are_the_nearest_to_the_proportions(sizes: list[int], fraction: float) -> None:
    y = np.repeat(np.arange(len(sizes)), sizes)
    count = round(len(y) * fraction)
    if min(count, len(y) - count) < max(len(sizes), 1):
        return
    _, held = _parts(y, fraction)
    counts = np.bincount(y[held], minlength=len(sizes))
    assert counts.sum() == count
    exact = np.array(sizes) * count / len(y)
    assert (counts >= 1).all()
    assert (counts <= np.array(sizes) - 1).all()
    if (exact >= 1).all() and (exact <= np.array(sizes) - 1).all():
        assert (np.abs(counts - exact) < 1).all()
        remainders = exact - np.floor(exact)
        raised = counts > np.floor(exact)
        if raised.any() and not raised.all():
            assert remainders[raised].min() >= remainders[~raised].max() - 1e-9


def test_one_hot_and_binary_targets_have_classes_too() -> None:
    _, held = _parts(Y, 0.25)
    np.testing.assert_array_equal(_parts(np.eye(3)[Y], 0.25)[1], held)
    signs = (Y == 1).astype(float)
    expected = _parts(signs.astype(int), 0.25)[1]
    np.testing.assert_array_equal(_parts(signs[:, None], 0.25, loss="binary_cross_entropy")[1], expected)


@pytest.mark.parametrize("kind", ["strings", "list", "numbers"])
def test_labels_of_ones_own_for_any_target(kind: str) -> None:
    x, y = regression(40)
    labels: Any = np.array(["cat", "dog", "ox"])[Y] if kind != "numbers" else 10 * Y
    labels = labels.tolist() if kind == "list" else labels
    kept, _ = _parts(Y, 0.25)
    whole, parted = (bp.Trainer(network(2), "mse", dtype="float64") for _ in range(2))
    whole.fit(x, y, epochs=2, validation_split=0.25, stratify=labels, progress=False)
    parted.fit(x[kept], y[kept], epochs=2, progress=False)
    assert bits(whole) == bits(parted)


def test_an_objective_is_split_by_labels() -> None:
    from bpcore import losses

    def objective(model: Any, x: Any, y: Any) -> Any:
        return losses.cross_entropy(model(x), y)

    kept, held = _parts(Y, 0.25)
    whole, parted = (bp.Trainer(network(3), objective=objective) for _ in range(2))
    history = whole.fit((X, Y), epochs=2, validation_split=0.25, stratify=Y, progress=False)
    expected = parted.fit((X[kept], Y[kept]), epochs=2, validation_data=(X[held], Y[held]), progress=False)
    assert history["val_loss"] == expected["val_loss"]
    assert bits(whole) == bits(parted)


def test_nothing_is_copied() -> None:
    x = np.zeros((20000, 200), np.float32)
    y = np.arange(20000) % 3
    trainer = bp.Trainer(network(3, in_features=200), "cross_entropy")
    trainer.fit(x[:64], y[:64], epochs=1, progress=False)
    tracemalloc.start()
    trainer.fit(x, y, epochs=1, batch_size=256, validation_split=0.2, stratify=True, progress=False)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < x.nbytes / 4


ONE_ALONE = np.where(np.arange(40) == 7, 2, Y % 2)


@pytest.mark.parametrize(
    ("options", "error", "fragment"),
    [
        ({"stratify": True}, ValueError, "stratify is for validation_split, which is 0"),
        ({"stratify": Y}, ValueError, "stratify is for validation_split, which is 0"),
        (
            {"stratify": True, "validation_data": (X, Y), "validation_split": 0.5},
            ValueError,
            "either validation_data or validation_split",
        ),
        ({"stratify": Y[:39], "validation_split": 0.25}, ValueError, "must have shape (40,), one a sample"),
        ({"stratify": Y[:, None], "validation_split": 0.25}, ValueError, "got (40, 1)"),
        ({"stratify": "y", "validation_split": 0.25}, ValueError, "must be True, False or labels"),
        ({"stratify": 1, "validation_split": 0.25}, ValueError, "must be True, False or labels"),
        (
            {"stratify": np.array([None, "a"] * 20, object), "validation_split": 0.25},
            TypeError,
            "all numbers or all strings",
        ),
        (
            {"stratify": ONE_ALONE, "validation_split": 0.25},
            ValueError,
            "must have 2 samples at least, to train on and to validate; only 1 has 2",
        ),
        (
            {"stratify": True, "validation_split": 0.05},
            ValueError,
            "3 classes need as many samples on each side, but validation_split leaves 2 on one",
        ),
        ({"stratify": True, "validation_split": 0.95}, ValueError, "leaves 2 on one"),
    ],
)
def test_bad_arguments(options: dict[str, Any], error: type[Exception], fragment: str) -> None:
    trainer = trained()
    assert_refused(trainer, lambda: trainer.fit(X, Y, epochs=1, progress=False, **options), error, fragment)


def test_targets_without_classes() -> None:
    x, y = regression(40, outputs=1)
    trainer = bp.Trainer(network(1), "mse", dtype="float64")
    with pytest.raises(TypeError, match="stratify=True needs targets that are classes, but those here are"):
        trainer.fit(x, y, epochs=1, validation_split=0.25, stratify=True, progress=False)
    own = bp.Trainer(network(1), objective=lambda model, x, y: ((model(x) - y) ** 2).mean())
    with pytest.raises(TypeError, match="give an array of labels, one a sample, instead"):
        own.fit((x, y), epochs=1, validation_split=0.25, stratify=True, progress=False)
