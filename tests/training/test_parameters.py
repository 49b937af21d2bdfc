"""A trainer's parameters and its model's states: when they exist, where they lie, who moves them."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, nn, ops, optim
from tests.training.problems import bits, blobs, forward, network


def _trainer(*units: int, dtype: str = "float64", loss: Any = "cross_entropy", **options: Any) -> bp.Trainer:
    return bp.Trainer(network(*units, in_features=4), loss, optim.Adam(0.01), dtype=dtype, **options)


def test_parameters_are_views_that_training_writes_and_that_may_be_written_to() -> None:
    x, y = blobs(20)
    trainer = _trainer(3)
    views = trainer.parameters
    places = {name: view.ctypes.data for name, view in views.items()}
    start = {name: view.copy() for name, view in views.items()}
    trainer.fit(x, y, epochs=1, progress=False)
    trainer.step(x[:3], y[:3])
    trainer.predict(x[:5])
    assert {name: view.ctypes.data for name, view in trainer.parameters.items()} == places
    assert all(place % 64 == 0 for place in places.values())
    assert all((views[name] != start[name]).any() for name in views)
    views["0.weight"][...] = 0
    views["0.bias"][...] = [1, 2, 3]
    np.testing.assert_array_equal(trainer.predict(x[:2]), [[1, 2, 3], [1, 2, 3]])
    np.testing.assert_array_equal(trainer.model(x[:2]), [[1, 2, 3], [1, 2, 3]])


def test_parameter_views_outlive_trainer_and_model() -> None:
    view = _trainer(3).parameters["0.weight"]
    copy = view.copy()
    junk = [np.ones(view.shape) for _ in range(100)]
    np.testing.assert_array_equal(view, copy)
    view[...] = 1
    assert (view == junk[0]).all()


def test_a_trainer_and_its_model_die_with_the_last_reference() -> None:
    """Not at the garbage collector's next visit, which knows nothing of the size of native memory."""
    gc.collect()
    gc.disable()
    try:
        trainer = _trainer(5, 3)
        x, y = blobs(20)
        trainer.fit(x, y, epochs=1, validation_data=(x, y), progress=False)
        trainer.step(x, y)
        trainer.gradients(x, y)
        trainer.predict(x)
        alive = weakref.ref(trainer), weakref.ref(trainer.model)
        del trainer
        assert [reference() for reference in alive] == [None, None]
    finally:
        gc.enable()


def test_padding_stays_zero() -> None:
    trainer = _trainer(5, 3)
    trainer.fit(*blobs(), epochs=2, progress=False)
    flat, _ = trainer.snapshot()
    assert flat.nbytes % 64 == 0
    assert sum(value.size for value in trainer.parameters.values()) < flat.size
    assert np.count_nonzero(flat) == sum(np.count_nonzero(value) for value in trainer.parameters.values())


def test_parameters_do_not_exist_before_the_sizes_are_known() -> None:
    trainer = bp.Trainer(network(3), "cross_entropy")
    with pytest.raises(RuntimeError, match="not known yet"):
        trainer.parameters  # noqa: B018
    trainer.predict(np.zeros((2, 4)))
    assert trainer.parameters["0.weight"].shape == (4, 3)


def test_the_trainers_seed_makes_initial_values_only_where_there_are_none() -> None:
    built = network(3)
    built.build(4, seed=9)
    before = bits(built)
    assert bits(bp.Trainer(built, "cross_entropy", seed=5)) == before
    fresh = [bits(bp.Trainer(network(3, in_features=4), "cross_entropy", seed=seed)) for seed in (9, 5)]
    assert fresh[0] == before != fresh[1]


def test_two_trainers_over_one_model_share_its_bits() -> None:
    x, y = blobs(20)
    model = network(3, in_features=4)
    one, other = (bp.Trainer(model, "cross_entropy", optim.SGD(0.1)) for _ in range(2))
    one.step(x, y)
    other.step(x, y)
    assert bits(one) == bits(other) == bits(model)
    alone = bp.Trainer(network(3, in_features=4), "cross_entropy", optim.SGD(0.1))
    alone.step(x, y)
    alone.step(x, y)
    assert bits(alone) == bits(model)


def test_frozen_parameters_stay_and_have_no_gradient() -> None:
    x, y = blobs(20)
    model = network(5, 3, in_features=4)
    model[0].weight.trainable = False  # type: ignore[attr-defined]
    trainer = bp.Trainer(model, "cross_entropy", optim.Adam(0.1))
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    trainer.fit(x, y, epochs=2, progress=False)
    assert "0.weight" not in trainer.gradients(x, y)
    changed = {name: bool((value != before[name]).any()) for name, value in trainer.parameters.items()}
    assert changed == {"0.weight": False, "0.bias": True, "1.weight": True, "1.bias": True}


@pytest.mark.parametrize("optimizer", [optim.SGD(0.1), optim.SGD(0.1, momentum=0.9), optim.Adam(0.1)])
@pytest.mark.parametrize("rows", [20, 7], ids=["same plan", "another plan"])
def test_freezing_a_trained_parameter_stops_it(optimizer: optim.Optimizer, rows: int) -> None:
    """At the next call, whatever gradients, momentum and plans there were before; thawing it goes on."""
    x, y = blobs(20)
    model = network(5, 3, in_features=4)
    trainer = bp.Trainer(model, "cross_entropy", optimizer)
    trainer.step(x, y)
    layer = model[0]
    layer.weight.trainable = False  # type: ignore[attr-defined]
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    trainer.step(x[:rows], y[:rows])
    trainer.fit(x[:rows], y[:rows], epochs=1, batch_size=rows, progress=False)
    assert "0.weight" not in trainer.gradients(x[:rows], y[:rows])
    changed = {name: bool((value != before[name]).any()) for name, value in trainer.parameters.items()}
    assert changed == {"0.weight": False, "0.bias": True, "1.weight": True, "1.bias": True}
    layer.weight.trainable = True  # type: ignore[attr-defined]
    trainer.step(x, y)
    assert (trainer.parameters["0.weight"] != before["0.weight"]).any()


def test_a_parameter_that_a_batch_does_not_use_has_no_gradient_left_from_another() -> None:
    class Sometimes(nn.Module):
        """Uses its second layer for batches of eight only."""

        def __init__(self) -> None:
            self.always, self.eight = nn.Dense(3, in_features=4), nn.Dense(3, in_features=4)

        def __call__(self, x: Any) -> Any:
            return self.always(x) + self.eight(x) if x.shape[0] == 8 else self.always(x)

    x, y = blobs(8)
    trainer = bp.Trainer(Sometimes(), "cross_entropy", optim.SGD(0.1))
    trainer.step(x, y)
    before = {name: value.copy() for name, value in trainer.parameters.items()}
    trainer.step(x[:4], y[:4])
    changed = {name: bool((value != before[name]).any()) for name, value in trainer.parameters.items()}
    assert changed == {"always.weight": True, "always.bias": True, "eight.weight": False, "eight.bias": False}


def test_state_is_written_by_training_and_by_nothing_else() -> None:
    class Counting(nn.Module):
        """Counts batches and keeps the sum of the last one's input."""

        def __init__(self) -> None:
            self.dense = nn.Dense(3, in_features=4)
            self.batches = nn.State(())
            self.total = nn.State(4)

        def __call__(self, x: Any) -> Any:
            self.batches.update(self.batches + 1)
            self.total.update(ops.sum(x, axis=0))
            return self.dense(x)

    x, y = blobs(20)
    model = Counting()
    trainer = bp.Trainer(model, "cross_entropy", dtype="float64")
    trainer.evaluate(x, y)
    trainer.predict(x)
    trainer.gradients(x, y)
    model(x)
    assert float(model.batches) == 0
    trainer.fit(x, y, epochs=2, batch_size=8, shuffle=False, validation_data=(x, y), progress=False)
    assert float(model.batches) == 6
    np.testing.assert_allclose(model.total.value, x[16:].sum(axis=0), rtol=1e-6)
    trainer.step(x, y)
    assert float(model.batches) == 7
    assert list(trainer.parameters) == ["dense.weight", "dense.bias"]


def test_weight_decay_does_not_move_a_frozen_parameter() -> None:
    x, y = blobs(20)
    model = network(5, 3, in_features=4)
    trainer = bp.Trainer(
        model, "cross_entropy", optim.SGD(0.1, momentum=0.9, weight_decay=0.1), dtype="float64"
    )
    trainer.step(x, y)
    model[0].weight.trainable = False
    frozen, free = model.parameters["0.weight"].tobytes(), model.parameters["0.bias"].tobytes()
    trainer.step(x, y)
    assert model.parameters["0.weight"].tobytes() == frozen
    assert model.parameters["0.bias"].tobytes() != free


@pytest.mark.parametrize(
    "name",
    ["model", "seed", "dtype", "threads", "optimizer", "loss", "objective", "metrics", "clip_norm", "ema"],
)
def test_settings_of_a_trainer_are_final(name: str) -> None:
    trainer = _trainer(3)
    with pytest.raises(AttributeError, match=f"{name} can't be changed"):
        setattr(trainer, name, None)


def test_names_that_nothing_would_read_can_not_be_set() -> None:
    trainer = _trainer(3)
    with pytest.raises(AttributeError, match="^Trainer: lr is set at its optimizer, by trainer.opt"):
        trainer.lr = 0.5  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="no 'stop_trainning' to set; did you mean 'stop_training'"):
        trainer.stop_trainning = True  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="^Adam: there is no 'learning_rate' to set; lr and scale"):
        trainer.optimizer.learning_rate = 0.5  # type: ignore[attr-defined]


def test_what_derives_from_a_trainer_may_have_attributes_of_its_own() -> None:
    class Named(bp.Trainer):
        def __init__(self, name: str, model: nn.Module) -> None:
            self.name = name
            super().__init__(model, "mse")
            self.best = np.inf

    trainer = Named("first", nn.Dense(1))
    assert (trainer.name, trainer.best) == ("first", np.inf)
    with pytest.raises(AttributeError, match="seed can't be changed"):
        trainer.seed = 1


class Accumulates(nn.Module):
    """Adds up the means of its inputs in a state; the loss can be made infinite by large ones."""

    def __init__(self) -> None:
        self.weight = nn.Parameter((2,), "ones")
        self.total = nn.State((2,), "zeros")

    def __call__(self, x: Any) -> Any:
        self.total.update(self.total + ops.mean(x, axis=0))
        return ops.sum(x * self.weight, axis=1)


def test_a_step_that_is_refused_writes_no_state() -> None:
    model = Accumulates()
    trainer = bp.Trainer(model, "mse", optim.SGD(0.0))
    trainer.step(np.ones((2, 2), "float32"), np.zeros(2, "float32"))
    np.testing.assert_array_equal(model.total.value, [1, 1])
    with pytest.raises(FloatingPointError, match="not|inf"):
        trainer.step(np.full((2, 2), 1e30, "float32"), np.zeros(2, "float32"))
    np.testing.assert_array_equal(model.total.value, [1, 1])


class SumsOverFeatures(nn.Module):
    """A reduction over the first axis, of an array whose last one is the batch."""

    def __init__(self) -> None:
        self.weight = nn.Parameter((1,), "ones")

    def __call__(self, x: Any) -> Any:
        return ops.sum(ops.transpose(x * self.weight), axis=0)


def test_reductions_do_not_round_a_sample_by_the_size_of_its_batch() -> None:
    trainer = bp.Trainer(SumsOverFeatures(), "mse", optim.SGD(0.1))
    x = np.random.default_rng(0).normal(size=(5, 1000)).astype("float32")
    together = trainer.predict(x, batch_size=5).tobytes()
    assert trainer.predict(x, batch_size=1).tobytes() == together
    assert trainer.predict(x, batch_size=4).tobytes() == together


class Scaled(nn.Module):
    """A head that may be replaced, and an attribute that may be set."""

    def __init__(self) -> None:
        self.body, self.head = nn.Dense(5, "tanh", in_features=4), nn.Dense(3, in_features=5)
        self.extra = [nn.Parameter(3, 0.0)]
        self.scale = 1.0

    def __call__(self, x: Any) -> Any:
        for each in self.extra:
            x = x + ops.sum(each)
        return self.head(self.body(x)) * self.scale


def _replace_head(model: Any) -> None:
    model.head = nn.Dense(3)


def _drop_extra(model: Any) -> None:
    model.extra.pop()


def _replace_extra(model: Any) -> None:
    model.extra[0] = nn.Parameter(3, 0.0)


def _rename_head(model: Any) -> None:
    model.other = model.head
    del model.head


@pytest.mark.parametrize("change", [_replace_head, _drop_extra, _replace_extra, _rename_head])
def test_a_trainer_whose_models_parts_have_changed_raises(change: Any) -> None:
    x, y = blobs(20)
    model = Scaled()
    trainer = bp.Trainer(model, "cross_entropy", optim.SGD(0.1))
    trainer.fit(x, y, epochs=1, progress=False)
    before, _ = trainer.snapshot()
    flat = trainer._engine.ready(None).store.flat_parameters
    change(model)
    for call in (
        lambda: trainer.fit(x, y, epochs=1, progress=False),
        lambda: trainer.step(x, y),
        lambda: trainer.gradients(x, y),
        lambda: trainer.predict(x),
        lambda: trainer.evaluate(x, y),
        lambda: trainer.parameters,
        lambda: trainer.optimizer_state,
        lambda: trainer.save("never"),
    ):
        with pytest.raises(RuntimeError, match="parts have changed.*make a new Trainer"):
            call()
    np.testing.assert_array_equal(flat, before)


def test_a_new_trainer_goes_on_with_a_trimmed_model() -> None:
    x, y = blobs(20)
    model = network(5, 3, 3, in_features=4)
    old = bp.Trainer(model, "cross_entropy")
    old.step(x, y)
    weight = model.parameters["0.weight"].copy()
    model.layers = model.layers[:2]
    with pytest.raises(RuntimeError, match="parts have changed"):
        old.step(x, y)
    new = bp.Trainer(model, "cross_entropy", optim.SGD(0.1))
    np.testing.assert_array_equal(new.parameters["0.weight"], weight)
    new.fit(x, y, epochs=1, progress=False)
    np.testing.assert_allclose(new.predict(x), np.tanh(forward(new.parameters, x)), rtol=0, atol=1e-5)


def test_attributes_that_are_set_count_from_the_next_call_on() -> None:
    x, y = blobs(20)
    model = Scaled()
    trainer = bp.Trainer(model, "cross_entropy", optim.SGD(0.0))
    calls = {
        "predict": lambda: trainer.predict(x),
        "evaluate": lambda: trainer.evaluate(x, y)["loss"],
        "step": lambda: trainer.step(x, y),
        "gradients": lambda: trainer.gradients(x, y)["head.bias"],
        "fit": lambda: trainer.fit(x, y, epochs=1, progress=False)["loss"][0],
    }
    before = {name: call() for name, call in calls.items()}
    model.scale = 2.0
    model.body.activation = None
    twin = bp.Trainer(model.copy(), "cross_entropy", optim.SGD(0.0))
    np.testing.assert_array_equal(trainer.predict(x), twin.predict(x))
    for name, call in calls.items():
        assert np.all(call() != before[name]), name
    assert trainer.step(x, y) == twin.step(x, y)


def test_a_trainer_of_a_part_does_not_keep_the_names_of_a_whole_made_of_it_alone() -> None:
    x, y = blobs(20)
    part = network(3, in_features=4)
    old = bp.Trainer(part, "cross_entropy")
    whole = bp.Trainer(nn.Sequential(part), "cross_entropy")
    assert list(whole.gradients(x, y)) == list(whole.parameters) == ["0.0.weight", "0.0.bias"]
    with pytest.raises(RuntimeError, match="part of a larger model"):
        old.step(x, y)


class Nested(nn.Module):
    """A dict with a key that holds a dot, and another way to the same path."""

    def __init__(self) -> None:
        self.heads = {"a.b": nn.Dense(2, in_features=4), "a": {"b": nn.Dense(3, in_features=4)}}

    def __call__(self, x: Any) -> Any:
        return self.heads["a"]["b"](x)  # type: ignore[index]


def test_two_parameters_of_one_name_are_refused() -> None:
    for call in (
        lambda: bp.Trainer(Nested(), "cross_entropy"),
        lambda: Nested().parameters,
        lambda: Nested()(np.zeros((2, 4))),
    ):
        with pytest.raises(ValueError, match=r"\[4, 2\] and .*\[4, 3\] .*both called 'heads.a.b.weight'"):
            call()


def test_a_snapshot_of_other_sizes_or_another_dtype_is_refused() -> None:
    trainer = _trainer(3)
    flat, states = trainer.snapshot()
    before = bits(trainer)
    wrong: list[Any] = [
        _trainer(8, 3).snapshot(), _trainer(3, dtype="float32").snapshot(), (0.0, states), (flat[:1], states),
        (flat,), (flat, states, states), (flat, np.zeros(3)),
    ]  # fmt: skip
    for snapshot in wrong:
        with pytest.raises(ValueError, match="no snapshot of this trainer"):
            trainer.restore(snapshot)
    assert bits(trainer) == before
    trainer.step(*blobs(20))
    trainer.restore((flat, states))
    assert bits(trainer) == before


def test_two_trainers_of_one_model_do_not_train_it_at_the_same_time() -> None:
    x, y = blobs(20)
    model = network(3, in_features=4)
    one, other = (bp.Trainer(model, "cross_entropy") for _ in range(2))
    refused = []

    class Meddling(callbacks.Callback):
        """Trains the model while it is being trained."""

        def on_epoch_end(self, trainer: bp.Trainer, logs: Any) -> None:  # noqa: ARG002
            before = bits(model)
            for call in (
                lambda: other.fit(x, y, epochs=1, progress=False),
                lambda: other.step(x, y),
                lambda: bp.Trainer(model, "cross_entropy", dtype="float64"),
            ):
                with pytest.raises(RuntimeError, match="in the middle of a fit or a step") as caught:
                    call()
                refused.append(caught.value)
            assert bits(model) == before
            assert other.predict(x).shape == (20, 3)

    one.fit(x, y, epochs=1, callbacks=[Meddling()], progress=False)
    assert len(refused) == 3
    other.step(x, y)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_trainer_that_is_to_be_copied_says_what_to_do_instead(copied: Callable[[Any], Any]) -> None:
    trainer = bp.Trainer(network(4, 2), "cross_entropy")
    with pytest.raises(TypeError, match=r"can't be pickled or copied: save\(path\) .* Trainer\.load"):
        copied(trainer)
