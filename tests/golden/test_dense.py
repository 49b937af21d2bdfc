"""Ten training steps follow PyTorch's: each loss, each gradient, the final parameters (see make_dense.py)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn, optim

# Largest difference allowed, relative to each tensor's largest element.
TOLERANCE = {"float32": 1e-4, "float64": 1e-9}

NETWORKS: dict[str, tuple[tuple[tuple[int, str | None], ...], str]] = {
    "classes": (((8, "tanh"), (7, "relu"), (4, None)), "cross_entropy"),
    "values": (((6, "sigmoid"), (4, "tanh"), (2, None)), "mse"),
}
CASES = {
    "sgd": optim.SGD(0.1),
    "sgd_decay": optim.SGD(0.1, weight_decay=0.05),
    "momentum": optim.SGD(0.05, momentum=0.9),
    "momentum_decay": optim.SGD(0.05, momentum=0.9, weight_decay=0.05),
    "nesterov": optim.SGD(0.05, momentum=0.9, nesterov=True),
    "nesterov_decay": optim.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.05),
    "adam": optim.Adam(0.02),
    "adam_decay": optim.Adam(0.02, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.05),
}


@cache
def _golden(dtype: str) -> dict[str, np.ndarray]:
    with np.load(Path(__file__).with_name(f"dense_{dtype}.npz")) as file:
        return dict(file)


def _below(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def _trainer(net: str, case: str, dtype: str) -> bp.Trainer:
    """A trainer that starts at PyTorch's starting parameters."""
    start = _below(f"{net}/start/", _golden(dtype))
    layers, loss = NETWORKS[net]
    model = nn.Sequential(*(nn.Dense(units, activation) for units, activation in layers))
    model.build(len(start["0.weight"]), dtype=dtype)
    assert {name: value.shape for name, value in model.parameters.items()} == {
        name: value.shape for name, value in start.items()
    }
    for name, value in model.parameters.items():
        value[...] = start[name]
    return bp.Trainer(model, loss=loss, optimizer=CASES[case], dtype=dtype)


def _assert_follows(
    actual: dict[str, np.ndarray], expected: dict[str, np.ndarray], dtype: str, when: str
) -> None:
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        assert actual[name].dtype == dtype, name
        error = float(np.abs(actual[name] - value).max() / np.abs(value).max())
        assert error <= TOLERANCE[dtype], f"{name} {when}: relative error {error:.2e}"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("net", NETWORKS)
def test_ten_steps_follow_pytorch(net: str, case: str, dtype: str) -> None:
    golden = _golden(dtype)
    x, y = golden[f"{net}/x"], golden[f"{net}/y"]
    results: dict[str, Any] = _below(f"{net}/{case}/", golden)
    gradients = _below("gradients/", results)
    trainer = _trainer(net, case, dtype)

    losses = []
    for step in range(len(x)):
        expected = {name: value[step] for name, value in gradients.items()}
        _assert_follows(trainer.gradients(x[step], y[step]), expected, dtype, f"at step {step}")
        losses.append(trainer.step(x[step], y[step]))

    np.testing.assert_allclose(losses, results["losses"], rtol=TOLERANCE[dtype])
    _assert_follows(trainer.parameters, _below("end/", results), dtype, "at the end")


@pytest.mark.parametrize("net", NETWORKS)
@pytest.mark.parametrize("case", CASES)
def test_fit_takes_the_same_ten_steps(net: str, case: str) -> None:
    """One epoch of ten batches in order, in one native call or a few, is those ten steps."""
    golden = _golden("float64")
    x, y = golden[f"{net}/x"], golden[f"{net}/y"]
    trainer = _trainer(net, case, "float64")
    history = trainer.fit(
        x.reshape(-1, *x.shape[2:]), y.reshape(-1, *y.shape[2:]),
        epochs=1, batch_size=x.shape[1], shuffle=False, progress=False,
    )  # fmt: skip
    np.testing.assert_allclose(history["loss"], [golden[f"{net}/{case}/losses"].mean()], rtol=1e-9)
    _assert_follows(trainer.parameters, _below(f"{net}/{case}/end/", golden), "float64", "at the end")


def test_the_files_are_worth_comparing_with() -> None:
    """Every tensor moves, every optimizer goes its own way, and the files agree as far as float32 goes."""
    for net in NETWORKS:
        start = _below(f"{net}/start/", _golden("float64"))
        ends = {case: _below(f"{net}/{case}/end/", _golden("float64")) for case in CASES}
        for name, value in start.items():
            distinct = [value, *(end[name] for end in ends.values())]
            for i, one in enumerate(distinct):
                for other in distinct[:i]:
                    assert np.abs(one - other).max() > 1e-3 * np.abs(one).max(), (net, name)
        for case, end in ends.items():
            rounded = {name: value.astype(np.float32) for name, value in end.items()}
            _assert_follows(
                _below(f"{net}/{case}/end/", _golden("float32")), rounded, "float32", "in the other file"
            )
