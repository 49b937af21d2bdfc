"""What may be made of a module's attributes once they are there."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from tests.nn.models import sequential


def _zeros(model: Any) -> None:
    model[1].bias = np.zeros(3, np.float32)


def _list(model: Any) -> None:
    model[1].bias = [0.0, 0.0, 0.0]


def _sum(model: Any) -> None:
    model[1].bias += 1


@pytest.mark.parametrize(("change", "what"), [(_zeros, "an array"), (_list, "a list"), (_sum, "an array")])
def test_an_array_cannot_take_the_place_of_a_parameter(change: Any, what: str) -> None:
    model = sequential()
    model.build(4)
    names = list(model.parameters)
    says = (
        r"^Dense layer '1': bias is the Parameter '1.bias' of shape \(3,\), which can't be replaced by "
        rf"{what}; write in place: bias.value\[...\] = values, "
        r"or model.parameters\['1.bias'\]\[...\] = values$"
    )
    with pytest.raises(TypeError, match=says):
        change(model)
    assert list(model.parameters) == names


def test_nor_before_parameters_exist_nor_of_a_state() -> None:
    dense, norm = nn.Dense(2), nn.BatchNorm()
    with pytest.raises(TypeError, match=r"^Dense: weight is the Parameter of shape \(\?, 2\), .* an array"):
        dense.weight = np.zeros((3, 2))  # type: ignore[assignment]
    with pytest.raises(TypeError, match=r"running_mean is the State.*: running_mean.value\[...\] = values$"):
        norm.running_mean = np.zeros(3)  # type: ignore[assignment]


class Counting(nn.Module):
    """Does with its state what one would do with an attribute."""

    def __init__(self) -> None:
        self.total = nn.State(3)
        self.weight = nn.Parameter(3)

    def __call__(self, x: Any) -> Any:
        self.total = self.total + x  # type: ignore[assignment]
        return self.total


def test_nor_a_tensor_in_a_call() -> None:
    model = Counting()
    says = r"total is the State 'total' of shape \(3,\).*another name, or call total.update"
    with pytest.raises(TypeError, match=says):
        model(np.zeros((2, 3), np.float32))
    assert isinstance(model.total, nn.State)


def test_other_parameters_and_none_can_take_a_parameters_place() -> None:
    first, second = nn.Dense(3, in_features=3), nn.Dense(3, in_features=3)
    model = nn.Sequential(first, second)
    second.weight = first.weight
    second.bias = None
    assert list(model.parameters) == ["0.weight", "0.bias"]
    x = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(model(x), first(x) @ first.parameters["weight"], rtol=1e-6)
    first.weight = nn.Parameter((3, 3), "ones")
    assert (model.parameters["0.weight"] == 1).all()
    assert list(model.parameters) == ["0.weight", "0.bias", "1.weight"]
    assert isinstance(bp.Trainer(model, "mse").step(x, x), float)


# Arrays by name


def test_setting_an_array_by_name_writes_its_values() -> None:
    model = sequential()
    model.build(4)
    trainer = bp.Trainer(model, "mse", "adam")
    trainer.step(np.ones((2, 4)), np.ones((2, 3)))
    values = np.arange(3.0)
    model.parameters["1.bias"] = values
    model.parameters["1.bias"] += 1
    trainer.parameters.update({"0.bias": [2, 2, 2, 2, 2]})
    parameters = model.parameters
    parameters |= {"0.weight": np.full((4, 5), 3.0)}
    trainer.optimizer_state["optimizer.exp_avg.1.bias"] = values
    np.testing.assert_array_equal(model[1].bias, values + 1)  # type: ignore[attr-defined]
    assert (model.parameters["0.bias"] == 2).all()
    assert (model.parameters["0.weight"] == 3).all()
    np.testing.assert_array_equal(trainer.optimizer_state["optimizer.exp_avg.1.bias"], values)


@pytest.mark.parametrize(
    ("name", "values", "error", "says"),
    [
        (
            "1.bias",
            0.0,
            ValueError,
            r"1.bias has shape \(3,\), the values \(\); \['1.bias'\]\[...\] = values",
        ),
        ("1.bias", np.zeros((3, 1)), ValueError, r"1.bias has shape \(3,\), the values \(3, 1\)"),
        ("1.bias", [0, 0, 1e300], ValueError, "1.bias: a value of the input overflows float32"),
        ("1.bias", ["a", "b", "c"], TypeError, "1.bias: expected numbers"),
        ("2.bias", np.zeros(3), KeyError, r"no '2.bias' to write to; did you mean '\d.bias'.*known: 0.bias"),
    ],
)
def test_values_that_do_not_fit_are_refused_before_any_is_written(
    name: str, values: Any, error: type[Exception], says: str
) -> None:
    model = sequential()
    model.build(4)
    before = model.parameters["0.bias"].copy()
    with pytest.raises(error, match=says):
        model.parameters[name] = values
    with pytest.raises(error, match=says):
        model.parameters.update({"0.bias": before + 1, name: values})
    np.testing.assert_array_equal(model.parameters["0.bias"], before)


def test_copies_of_parameters_are_plain_dicts() -> None:
    model = sequential()
    model.build(4)
    kept = [copy.deepcopy(model.parameters), pickle.loads(pickle.dumps(model.parameters))]
    for each in (*kept, dict(model.parameters), model.parameters | {}, model.parameters.copy()):
        assert type(each) is dict
        assert list(each) == list(model.parameters)
    model.parameters["1.bias"] = np.ones(3)
    assert all((each["1.bias"] == 0).all() for each in kept)


def test_elements_of_a_parameter_are_written_in_its_array() -> None:
    model = sequential()
    model.build(4)
    with pytest.raises(TypeError, match=r"^Parameter '1.bias' of shape \(3,\): write.* as .value\[...\] = "):
        model[1].bias[:] = 0  # type: ignore[attr-defined]
    model[1].bias.value[...] = 1  # type: ignore[attr-defined]
    assert (model.parameters["1.bias"] == 1).all()
    writing = nn.Lambda(lambda x: model[1].bias.__setitem__(0, x))  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="symbolic while a function is traced"):
        writing(np.zeros(3))
