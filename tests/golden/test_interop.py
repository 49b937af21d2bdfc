"""Models with PyTorch's weights give PyTorch's outputs, and give the weights back (see make_interop.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bpcore import nn, pytorch
from tests.golden.interop_models import CASES

TOLERANCE = 1e-5


@cache
def _golden() -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name("interop.npz")) as file:
        return dict(file)


def _weights(case: str) -> dict[str, np.ndarray]:
    prefix = f"{case}/w/"
    return {n.removeprefix(prefix): value for n, value in _golden().items() if n.startswith(prefix)}


def _built(case: str) -> nn.Module:
    model = CASES[case].make()
    model(_golden()[f"{case}/x"])
    return model


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("built", [False, True], ids=["bare", "built"])
def test_outputs_are_pytorchs(case: str, built: bool) -> None:
    model = _built(case) if built else CASES[case].make()
    unmatched = pytorch.load_state_dict(model, _weights(case), **CASES[case].options)
    assert unmatched == ([], [])
    y, expected = model(_golden()[f"{case}/x"]), _golden()[f"{case}/y"]
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_the_weights_come_back(case: str) -> None:
    model, weights = CASES[case].make(), _weights(case)
    pytorch.load_state_dict(model, weights, **CASES[case].options)
    back = pytorch.state_dict(model, **CASES[case].options)
    assert sorted(back) == sorted(n for n in weights if not n.endswith("num_batches_tracked"))
    for name, value in back.items():
        assert value.shape == weights[name].shape
        assert value.dtype == weights[name].dtype
        if not (CASES[case].summed and "bias" in name):
            np.testing.assert_array_equal(value, weights[name], err_msg=name)
    again = CASES[case].make()
    pytorch.load_state_dict(again, back, **CASES[case].options)
    x = _golden()[f"{case}/x"]
    np.testing.assert_array_equal(again(x), model(x))
