"""Metrics in the places that a trainer has for them: steps, histories, callbacks, files, LBFGS."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, losses, metrics, nn, ops, optim
from tests.metrics.models import fixed
from tests.metrics.test_own import Bias
from tests.training.problems import bits, blobs, network

NAMES = ["accuracy", "f1", "confusion_matrix", "roc_auc", "top_2"]
X, Y = blobs(50)
X = X + np.random.default_rng(0).normal(size=X.shape).astype(np.float32) * 3


def trainer_of(names: Any = NAMES, **options: Any) -> bp.Trainer:
    return bp.Trainer(network(8, 3), "cross_entropy", optim.Adam(0.01), metrics=names, **options)


def same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


class Steps(callbacks.Callback):
    """Keeps the values of steps."""

    def __init__(self, every: int = 1) -> None:
        self.every_steps = every
        self.seen: list[tuple[int, Any]] = []

    def on_step(self, trainer: bp.Trainer, logs: Any) -> None:
        self.seen.append((trainer.steps, logs))


@pytest.mark.parametrize(("accumulate", "every"), [(1, 1), (1, 2), (2, 1), (3, 2)])
def test_values_of_a_step_are_those_of_its_batch(accumulate: int, every: int) -> None:
    x = np.random.default_rng(1).normal(size=(45, 3))
    y = np.random.default_rng(2).integers(0, 3, size=45)
    trainer, steps = fixed("cross_entropy", 3, [*NAMES, "average_precision"]), Steps(every)
    trainer.fit(
        x, y, epochs=1, batch_size=7, accumulate=accumulate, shuffle=False, callbacks=[steps], progress=False
    )
    size = 7 * accumulate
    assert [number for number, _ in steps.seen] == list(range(every, -(-45 // size) + 1, every))
    for number, logs in steps.seen:
        batch = slice((number - 1) * size, number * size)
        same(logs, trainer.evaluate(x[batch], y[batch]))


def test_metrics_change_no_bit_of_training() -> None:
    trainers = [trainer_of([]), trainer_of(), trainer_of(threads=2)]
    for trainer in trainers:
        trainer.fit(X, Y, epochs=2, batch_size=16, progress=False)
    assert len({bits(trainer) for trainer in trainers}) == 1
    assert trainers[1].history["f1"] == trainers[2].history["f1"]


def test_a_history_holds_arrays_and_shows_numbers(tmp_path: Any, capfd: Any) -> None:
    trainer = trainer_of()
    history = trainer.fit(X, Y, epochs=3, batch_size=16, validation_data=(X[:20], Y[:20]))
    found = history["val_confusion_matrix"]
    assert [each.shape for each in found] == [(3, 3)] * 3
    assert [each.sum() for each in found] == [20] * 3
    assert [each.sum() for each in history["confusion_matrix"]] == [50] * 3
    assert np.trace(found[-1]) / 20 == pytest.approx(history["val_accuracy"][-1])
    bar = capfd.readouterr().err
    for text in (repr(history), bar):
        assert "f1 0." in text
        assert "confusion" not in text
    pytest.importorskip("matplotlib")
    assert len(history.plot().axes) == 5
    history.plot(path=tmp_path / "curves.png")


def test_values_with_gradients_watched_are_the_same() -> None:
    plain, watched = trainer_of(), trainer_of()
    plain.fit(X, Y, epochs=2, batch_size=16, progress=False)
    watched.fit(
        X, Y, epochs=2, batch_size=16, callbacks=[callbacks.GradientHealth(2, warn=False)], progress=False
    )
    for name in ["loss", *NAMES]:
        np.testing.assert_array_equal(plain.history[name], watched.history[name])


@pytest.mark.parametrize("validation", [False, True])
def test_full_batches_of_lbfgs(validation: bool) -> None:
    """Values are of the parameters before the step, as with other optimizers."""
    trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.LBFGS(), metrics=[*NAMES, "average_precision"])
    before = trainer.evaluate(X, Y)
    steps = Steps()
    held_out = (X, Y) if validation else None
    history = trainer.fit(
        X, Y, epochs=2, batch_size=50, validation_data=held_out, callbacks=[steps], progress=False
    )
    same({name: history[name][0] for name in before}, before)
    same(steps.seen[0][1], before)
    if validation:
        same({name: history[f"val_{name}"][1] for name in before}, trainer.evaluate(X, Y))
    assert np.isfinite(trainer.step(X, Y))


def test_steps_that_are_left_out_do_not_count() -> None:
    x = X.copy()
    x[:16] = 3e38
    trainer = bp.Trainer(network(3, in_features=4), "cross_entropy", metrics=NAMES, nonfinite="skip")
    trainer.parameters["0.weight"][...] = 1
    steps = Steps()
    history = trainer.fit(x, Y, epochs=1, batch_size=16, shuffle=False, callbacks=[steps], progress=False)
    assert trainer.skipped == 1
    assert history["confusion_matrix"][0].sum() == 50 - 16
    assert 0 < history["roc_auc"][0] < 1


# Callbacks


@pytest.mark.parametrize("callback", [callbacks.EarlyStopping, callbacks.ReduceLROnPlateau])
@pytest.mark.parametrize(
    ("metric", "mode"),
    [("f1", "max"), ("top_2", "max"), ("accuracy", "max"), (metrics.Recall("micro", name="hits"), "max"),
     (metrics.RMSE(name="accuracy_of_sorts"), "min"), (Bias(), "min")],
)  # fmt: skip
def test_auto_knows_what_is_better(callback: Any, metric: Any, mode: str) -> None:
    name = metric if isinstance(metric, str) else metric.name
    looking = callback(f"val_{name}")
    loss, y = ("cross_entropy", Y) if mode == "max" else ("mse", np.eye(3)[Y])
    trainer = bp.Trainer(network(8, 3), loss, metrics=[metric])
    trainer.fit(X, y, epochs=1, validation_split=0.2, callbacks=[looking], progress=False)
    assert looking.mode == mode
    assert callback(name, mode="min").mode == "min"


def test_functions_may_say_that_more_is_better() -> None:
    def score(prediction: Any, target: Any) -> Any:
        return -ops.abs(prediction - target)

    stopping = callbacks.EarlyStopping("score")
    trainer = bp.Trainer(network(8, 3), "mse", metrics=[score])
    trainer.fit(X, np.eye(3)[Y], epochs=1, callbacks=[stopping], progress=False)
    assert stopping.mode == "min"
    score.greater_is_better = True  # type: ignore[attr-defined]
    trainer.fit(X, np.eye(3)[Y], epochs=1, callbacks=[stopping], progress=False)
    assert stopping.mode == "max"


@pytest.mark.parametrize("metric", ["confusion_matrix", metrics.F1(None)])
def test_an_array_is_no_value_to_look_at(metric: Any) -> None:
    name = metric if isinstance(metric, str) else metric.name
    trainer = trainer_of([metric])
    with pytest.raises(ValueError, match=f"EarlyStopping: '{name}' is an array, not one value to look at"):
        trainer.fit(X, Y, epochs=1, callbacks=[callbacks.EarlyStopping(name)], progress=False)
    assert trainer.steps == 0


def test_an_array_that_nothing_told_of_is_refused_after_an_epoch() -> None:
    class Hidden(Bias):
        def result(self, *sums: Any) -> Any:
            return np.array(sums)

    trainer = bp.Trainer(network(8, 3), "mse", metrics=[Hidden()])
    with pytest.raises(ValueError, match=r"EarlyStopping: 'bias' is an array of shape \(2,\)"):
        trainer.fit(X, np.eye(3)[Y], epochs=1, callbacks=[callbacks.EarlyStopping("bias")], progress=False)


# Files


def test_names_and_objects_are_saved_with_their_settings(tmp_path: Any) -> None:
    given = [
        "accuracy", "top_3", metrics.Precision("micro", name="mine"), metrics.F1(zero_division=np.nan),
        metrics.ConfusionMatrix("true"), metrics.ROCAUC(from_logits=False), metrics.TopKAccuracy(2),
    ]  # fmt: skip
    trainer = trainer_of(given)
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.save(tmp_path / "run")
    again = bp.Trainer.load(tmp_path / "run", network(8, 3))
    expected, found = trainer.evaluate(X, Y), again.evaluate(X, Y)
    assert list(expected) == [
        "loss", "accuracy", "top_3", "mine", "f1", "confusion_matrix", "roc_auc", "top_2"
    ]  # fmt: skip
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)
    assert {name: repr(each) for name, each in again.metrics.items() if isinstance(each, metrics.Metric)} == {
        name: repr(each) for name, each in trainer.metrics.items() if isinstance(each, metrics.Metric)
    }
    again.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "run").read_bytes()


def test_own_objects_must_be_given_again(tmp_path: Any) -> None:
    trainer = bp.Trainer(network(3, in_features=4), "mse", metrics=[Bias(), "mae"])
    trainer.save(tmp_path / "run")
    with pytest.raises(ValueError, match="functions are not saved; give metrics= to Trainer.load again"):
        bp.Trainer.load(tmp_path / "run", network(3))
    again = bp.Trainer.load(tmp_path / "run", network(3), metrics=[Bias()])
    assert list(again.evaluate(X, np.eye(3)[Y])) == ["loss", "bias"]


@pytest.mark.parametrize(
    "config", [{}, {"metric": "f2"}, {"metric": "f1", "average": "mean"}, {"metric": "f1", "beta": 2}]
)
def test_configs_that_make_no_sense_are_refused(config: Any) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        metrics.from_config(config)


def test_every_known_metric_comes_back_from_its_config() -> None:
    for name in metrics.__all__:
        kind = getattr(metrics, name)
        if isinstance(kind, type) and kind is not metrics.Metric:
            made = kind()
            config = made.config()
            assert config is not None
            assert metrics.from_config(config) == made


class Halt(callbacks.Callback):
    """Raises behind a step, as whatever kills a run."""

    def __init__(self, at: int) -> None:
        self.every_steps = at

    def on_step(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002
        raise RuntimeError("halted")


@pytest.mark.parametrize("at", [1, 2, 4, 5])
def test_a_resumed_epoch_has_the_values_of_a_whole_one(tmp_path: Any, at: int) -> None:
    """Four steps an epoch: sums and rows of those that are done come from the file, with the history."""
    path = tmp_path / "run"
    options = {"epochs": 3, "batch_size": 16, "validation_data": (X[:20], Y[:20]), "progress": False}
    names = [*NAMES, "average_precision", metrics.Precision("micro")]
    whole = trainer_of(names).fit(X, Y, **options)
    kept = callbacks.Checkpoint(path, every_steps=1)
    with pytest.raises(RuntimeError, match="halted"):
        trainer_of(names).fit(X, Y, callbacks=[kept, Halt(at)], **options)
    again = trainer_of(names)
    resumed = again.fit(X, Y, resume=path, **options)
    assert again.steps == 12
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)
    again.save(tmp_path / "done")
    loaded = bp.Trainer.load(tmp_path / "done", network(8, 3)).history
    for name in whole:
        np.testing.assert_array_equal(loaded[name], whole[name], err_msg=name)


def test_lbfgs_resumes_with_its_rows(tmp_path: Any) -> None:
    path = tmp_path / "run"

    def fit(epochs: int, **options: Any) -> Any:
        trainer = bp.Trainer(network(8, 3), "cross_entropy", optim.LBFGS(), metrics=NAMES)
        return trainer.fit(X, Y, epochs=epochs, batch_size=50, progress=False, **options)

    whole = fit(3)
    with pytest.raises(RuntimeError, match="halted"):
        fit(3, callbacks=[callbacks.Checkpoint(path, every_steps=1), Halt(2)])
    resumed = fit(3, resume=path)
    for name in whole:
        np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


def test_the_best_by_a_metric_of_which_more_is_better_is_kept(tmp_path: Any) -> None:
    trainer, path = trainer_of(), tmp_path / "best"
    best = callbacks.Checkpoint(path, monitor="val_f1")
    history = trainer.fit(X, Y, epochs=8, validation_data=(X[:20], Y[:20]), callbacks=[best], progress=False)
    again = bp.Trainer.load(path, network(8, 3))
    assert again.evaluate(X[:20], Y[:20])["f1"] == max(history["val_f1"])
    assert max(history["val_f1"]) > min(history["val_f1"])
    with pytest.raises(
        ValueError, match="Checkpoint: 'confusion_matrix' is an array, not one value to look at"
    ):
        trainer.fit(
            X, Y, epochs=1, callbacks=[callbacks.Checkpoint(path, monitor="confusion_matrix")], progress=False
        )


def test_arrays_are_left_out_of_lines_of_values(tmp_path: Any) -> None:
    path = tmp_path / "log.csv"
    trainer_of().fit(X, Y, epochs=2, callbacks=[callbacks.CSVLogger(path)], progress=False)
    header, *lines = path.read_text().splitlines()
    assert header.split(",")[4:] == ["loss", "accuracy", "f1", "roc_auc", "top_2"]
    assert len(lines) == 2


# Several outputs


class Heads(nn.Module):
    """Classes and a number, in a dict."""

    def __init__(self) -> None:
        self.kind, self.size = nn.Dense(3, in_features=4), nn.Dense(1, in_features=4)

    def __call__(self, x: Any) -> Any:
        return {"kind": self.kind(x), "size": self.size(x)}


def test_objects_by_output_have_its_names_and_its_loss(tmp_path: Any) -> None:
    size, path = X.sum(1), tmp_path / "run"
    y = {"kind": np.where(np.arange(50) % 5 == 0, -1, Y), "size": size}
    given = {"kind": ["f1", metrics.ConfusionMatrix(), "roc_auc"], "size": ["r2", metrics.MAE(name="off")]}
    ignoring = partial(losses.cross_entropy, ignore_index=-1)
    trainer = bp.Trainer(Heads(), {"kind": ignoring, "size": "mse"}, metrics=given)
    stopping = callbacks.EarlyStopping("val_size_r2", patience=9)
    trainer.fit(X, y, epochs=2, batch_size=16, validation_data=(X, y), callbacks=[stopping], progress=False)
    assert stopping.mode == "max"
    found, prediction = trainer.evaluate(X, y, batch_size=16), trainer.predict(X)
    assert list(found) == [
        "loss", "kind_loss", "size_loss", "kind_f1", "kind_confusion_matrix", "kind_roc_auc", "size_r2",
        "size_off",
    ]  # fmt: skip
    kept = y["kind"] >= 0
    scores, right = prediction["kind"][kept], y["kind"][kept]
    same(
        {name: found[f"kind_{name}"] for name in ("f1", "confusion_matrix", "roc_auc")},
        {
            "f1": metrics.F1()(scores, right),
            "confusion_matrix": metrics.ConfusionMatrix()(scores, right),
            "roc_auc": metrics.ROCAUC(from_logits=True)(scores, right),
        },
    )
    assert found["size_r2"] == pytest.approx(metrics.R2()(prediction["size"], size), rel=1e-6)
    trainer.save(path)
    again = bp.Trainer.load(path, Heads(), loss={"kind": ignoring, "size": "mse"})
    same(again.evaluate(X, y, batch_size=16), found)
    wrong = {"kind": metrics.Precision("binary"), "size": None}
    trainer = bp.Trainer(Heads(), {"kind": ignoring, "size": "mse"}, metrics=wrong)
    with pytest.raises(ValueError, match="output 'kind': .*precision: average=\"binary\" is for two classes"):
        trainer.evaluate(X, y)
