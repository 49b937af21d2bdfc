"""Steps of LBFGS follow PyTorch's, evaluation by evaluation (see make_lbfgs.py)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops, optim
from bpcore.engine.fullbatch import FullBatchSession
from bpcore.optim.wolfe import Trial, strong_wolfe
from tests.support.scripts import constant

_HERE = Path(__file__).parent
_SCRIPT = _HERE / "make_lbfgs.py"
CASES: dict[str, tuple[int, dict[str, Any]]] = constant(_SCRIPT, "CASES")
MOMENTS, DECAY = constant(_SCRIPT, "MOMENTS"), constant(_SCRIPT, "DECAY")


@pytest.fixture(scope="module")
def golden() -> dict[str, np.ndarray]:
    with np.load(_HERE / "lbfgs.npz") as file:
        return dict(file)


def _objective(model: Any, x: Any, y: Any) -> Any:
    squares = sum(ops.sum(parameter * parameter) for _, parameter in model.named_variables())
    return losses.mse(model(x), y) + DECAY * squares


@pytest.mark.parametrize("case", CASES)
def test_steps_follow_pytorch(
    case: str, golden: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps, options = CASES[case]
    model = nn.Sequential(nn.Dense(4, "sigmoid", in_features=3), nn.Dense(2))
    model.build(3, dtype="float64")
    for name, value in model.parameters.items():
        value[...] = golden[f"start/{name}"]
    calls = []
    evaluate = FullBatchSession._evaluate

    def counting(self: FullBatchSession, arrays: list[np.ndarray]) -> Any:
        calls.append(1)
        return evaluate(self, arrays)

    monkeypatch.setattr(FullBatchSession, "_evaluate", counting)
    trainer = bp.Trainer(model, objective=_objective, optimizer=optim.LBFGS(**options), dtype="float64")
    for step in range(1, steps + 1):
        loss = trainer.step(golden["x"], golden["y"])
        assert loss == pytest.approx(golden[f"{case}/losses"][step - 1], rel=1e-9)
        assert len(calls) == golden[f"{case}/evaluations"][step - 1], f"evaluations after {step} steps"
        if step not in MOMENTS:
            continue
        for name, array in trainer.parameters.items():
            value = golden[f"{case}/{step}/{name}"]
            error = float(np.abs(array - value).max() / np.abs(value).max())
            assert error <= 1e-6, f"{name} after {step} steps: relative error {error:.2e}"


def test_the_line_search_tries_what_pytorchs_tries(golden: dict[str, np.ndarray]) -> None:
    ends = np.cumsum(golden["tries"])[:-1]
    for number, want in enumerate(np.split(golden["tried"], ends)):
        a, b, c, d, first = map(float, golden["curves"][number])
        tried: list[float] = []

        def at(t: float, a: float = a, b: float = b, c: float = c, d: float = d) -> Trial:
            slope = float(2 * a * t - b + c * d * np.cos(d * t))
            return Trial(t, float(a * t * t - b * t + c * np.sin(d * t)), np.array([slope]), slope)

        def evaluate(t: float, at: Any = at, tried: list[float] = tried) -> Trial:
            tried.append(t)
            return at(t)

        found, count = strong_wolfe(evaluate, at(0.0), first, 1.0, 1e-9, 25)
        assert count == len(tried) == len(want), f"curve {number}"
        np.testing.assert_allclose(tried, want, rtol=1e-6, err_msg=f"curve {number}")
        assert found.t == pytest.approx(golden["found"][number], rel=1e-6)
