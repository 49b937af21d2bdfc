"""What may be made of a module's attributes once they are there."""

from __future__ import annotations

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
    np.testing.assert_array_equal(model(x), first(x) @ first.parameters["weight"])
    first.weight = nn.Parameter((3, 3), "ones")
    assert (model.parameters["0.weight"] == 1).all()
    assert list(model.parameters) == ["0.weight", "0.bias", "1.weight"]
    assert isinstance(bp.Trainer(model, "mse").step(x, x), float)
