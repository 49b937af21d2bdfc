"""Copies of models: copy, assign, pickle."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from tests.nn.models import Plain, Tied, sequential


def _values(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.copy() for name, value in model.parameters.items()}


def test_a_copy_has_the_values_and_stands_on_its_own() -> None:
    model = Plain()
    twin = model.copy()
    assert type(twin) is Plain
    before = _values(model)
    for name, value in twin.parameters.items():
        np.testing.assert_array_equal(value, before[name])
        assert not np.shares_memory(value, model.parameters[name])
        value += 1
    for name, value in model.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_a_copy_of_a_trained_model_keeps_dtype_states_and_ties() -> None:
    model = Tied()
    trainer = bp.Trainer(model, objective=lambda m, v: bp.losses.mse(m(v), v), dtype="float64")
    trainer.step(np.ones((3, 4)))
    twin = model.copy()
    assert twin.weight is twin.encoder.weight
    assert twin.parameters["encoder.weight"].dtype == np.float64
    np.testing.assert_array_equal(twin(np.eye(4)), model(np.eye(4)))
    plain = Plain()
    plain.parameters  # noqa: B018 - makes them exist
    plain.count.value[...] = 5
    assert plain.copy().count.value.tolist() == [5, 5]


def test_a_copy_of_a_model_that_does_not_exist_yet() -> None:
    model = sequential()
    twin = model.copy()
    model.build(4)
    with pytest.raises(RuntimeError, match="not known yet"):
        twin.parameters  # noqa: B018
    twin.build(6)
    assert twin.parameters["0.weight"].shape == (6, 5)


def test_a_copy_of_a_model_of_which_a_part_exists() -> None:
    first = nn.Dense(3)
    first.build(2)
    twin = nn.Sequential(first, nn.Dense(4)).copy()
    twin.build(2)
    np.testing.assert_array_equal(twin.parameters["0.weight"], first.parameters["weight"])
    assert twin.parameters["1.weight"].shape == (3, 4)


@pytest.mark.parametrize("tau", [0.0, 0.25, 1.0])
def test_assign_moves_towards_the_other_model(tau: float) -> None:
    one, other = sequential(), sequential()
    one.build(4, seed=1, dtype="float64")
    other.build(4, seed=2, dtype="float64")
    before, aim = _values(one), _values(other)
    one.assign(other, tau=tau)
    for name, value in one.parameters.items():
        np.testing.assert_allclose(value, tau * aim[name] + (1 - tau) * before[name], rtol=0, atol=1e-15)
        np.testing.assert_array_equal(other.parameters[name], aim[name])
    if tau == 1.0:
        assert all((one.parameters[name] == aim[name]).all() for name in aim)


@pytest.mark.parametrize("tau", [-0.1, 1.1, float("nan")])
def test_assign_refuses_another_tau(tau: float) -> None:
    one, other = sequential(), sequential()
    one.build(4, seed=1)
    other.build(4, seed=2)
    before = _values(one)
    with pytest.raises(ValueError, match="tau must lie in"):
        one.assign(other, tau=tau)
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_assign_refuses_another_model_and_changes_nothing() -> None:
    one, other = sequential(), nn.Sequential(nn.Dense(5, "relu"), nn.Dense(4))
    one.build(4, seed=1)
    other.build(4)
    before = _values(one)
    with pytest.raises(ValueError, match="of another shape: 1.weight"):
        one.assign(other)
    for name, value in one.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_a_model_can_be_pickled_with_its_values() -> None:
    """For multiprocessing; files are safetensors."""
    model = sequential()
    x = np.ones((2, 4), np.float32)
    expected = model(x)
    twin = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(twin(x), expected)
    twin.parameters["0.weight"][...] = 0
    np.testing.assert_array_equal(model(x), expected)


def test_a_recurrence_can_be_pickled_before_its_parameters_exist() -> None:
    layer = nn.LSTM(3, unit_forget_bias=True, bias_init="normal")
    twin = pickle.loads(pickle.dumps(layer))
    x = np.ones((2, 4, 3), np.float32)
    np.testing.assert_array_equal(twin(x), layer(x))
    np.testing.assert_array_equal(layer.parameters["cells.0.bias"][3:6], 1)
