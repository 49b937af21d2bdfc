"""Makes lbfgs.npz: float64 steps of a small sigmoid network with PyTorch's LBFGS.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_lbfgs.py

The network is 3-4-2 with a sigmoid between; the loss is the mean squared error of ROWS samples, plus DECAY
times the sum of squares of all parameters. That gives the loss a curvature everywhere: near a flat minimum, a
quasi-Newton method divides rounding errors by curvatures of nearly 0. PyTorch started from weights 4e-16 away
must stay near itself, and the script checks it.

The line search also goes alone along CURVES functions of one number, a·t² - b·t + c·sin(d·t), from a first t.
The file holds

    x, y                 (ROWS, features)
    start/NAME           starting parameters, NAME as in bpcore ("0.weight" is (in, out))
    CASE/losses          what each call of `optimizer.step` returned
    CASE/evaluations     calls of the closure so far, after each step
    CASE/AT/NAME         parameters after AT steps, for each of CASES and AT in MOMENTS
    curves               (n, 5): a, b, c, d and the first t of each that doesn't amplify rounding errors
    tried                all t that were tried along the first curve, then along the second ...
    tries                (n,): how many
    found                (n,): the t that the search returned
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim.lbfgs import _strong_wolfe

MOMENTS = (1, 5, 10, 20, 50, 1000)
ROWS = 24
DECAY = 3e-3
CURVES = 300
# Case -> steps, and arguments of PyTorch's LBFGS, which are bpcore's.
CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "strong wolfe": (1000, {"line_search_fn": "strong_wolfe"}),
    "strong wolfe, one iteration": (1000, {"max_iter": 1, "line_search_fn": "strong_wolfe"}),
    "strong wolfe, short memory": (
        10,
        {"lr": 0.3, "max_iter": 3, "max_eval": 7, "history_size": 2, "line_search_fn": "strong_wolfe"},
    ),
    "strong wolfe, too far": (
        10,
        {"lr": 30.0, "max_iter": 4, "max_eval": 30, "history_size": 5, "line_search_fn": "strong_wolfe"},
    ),
    "fixed, coarse": (10, {"lr": 0.05, "tolerance_change": 1e-2}),
    "fixed": (1000, {"lr": 0.5}),
    "fixed, short memory": (20, {"lr": 0.2, "max_iter": 3, "history_size": 3}),
}


def start(rng: np.random.Generator) -> dict[str, np.ndarray]:
    shapes = {"0.weight": (3, 4), "0.bias": (4,), "1.weight": (4, 2), "1.bias": (2,)}
    return {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}


def train(case: str, values: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    steps, options = CASES[case]
    optimizer = torch.optim.LBFGS(list(parameters.values()), **options)
    inputs, targets = torch.tensor(x), torch.tensor(y)
    evaluations = 0

    def closure() -> torch.Tensor:
        nonlocal evaluations
        evaluations += 1
        optimizer.zero_grad()
        hidden = torch.sigmoid(inputs @ parameters["0.weight"] + parameters["0.bias"])
        loss = torch.nn.functional.mse_loss(hidden @ parameters["1.weight"] + parameters["1.bias"], targets)
        loss = loss + DECAY * sum((p * p).sum() for p in parameters.values())
        loss.backward()
        return loss

    found: dict[str, np.ndarray] = {}
    losses, counts = [], []
    for step in range(1, steps + 1):
        losses.append(optimizer.step(closure).item())
        counts.append(evaluations)
        if step in MOMENTS:
            found |= {f"{case}/{step}/{name}": p.detach().numpy().copy() for name, p in parameters.items()}
    return {**found, f"{case}/losses": np.array(losses), f"{case}/evaluations": np.array(counts)}


def search(curve: np.ndarray) -> tuple[list[float], float]:
    """What PyTorch's line search tries along a curve, and what it returns."""
    a, b, c, d, first = map(float, curve)
    tried: list[float] = []

    def at(t: float) -> tuple[float, torch.Tensor]:
        slope = 2 * a * t - b + c * d * np.cos(d * t)
        return a * t * t - b * t + c * np.sin(d * t), torch.tensor([slope], dtype=torch.float64)

    def evaluate(_: object, t: float, __: object) -> tuple[float, torch.Tensor]:
        tried.append(float(t))
        return at(float(t))

    loss, gradient = at(0.0)
    one = torch.ones(1, dtype=torch.float64)
    _, _, t, _ = _strong_wolfe(evaluate, None, first, one, loss, gradient, gradient[0])
    return tried, float(t)


def is_steady(curve: np.ndarray) -> bool:
    """Whether the search tries nearly the same along curves that differ in the last digits."""
    tried, _ = search(curve)
    others = [search(curve * (1 + factor * 4e-16))[0] for factor in (-2, -1, 1, 2)]
    return all(len(tried) == len(other) and np.allclose(tried, other, rtol=1e-9) for other in others)


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(31)
    x, y = rng.normal(size=(ROWS, 3)), rng.normal(size=(ROWS, 2))
    values = start(rng)
    near = {name: value * (1 + 4e-16) for name, value in values.items()}
    arrays = {"x": x, "y": y, **{f"start/{name}": value for name, value in values.items()}}
    for case in CASES:
        found, other = train(case, values, x, y), train(case, near, x, y)
        errors = {
            name: float(np.abs(other[name] - value).max() / np.abs(value).max())
            for name, value in found.items()
        }
        print(f"{case}: PyTorch differs from itself by {max(errors.values()):.1e}")
        assert max(errors.values()) < 1e-7, case
        arrays |= found
    a, b, d = 10 ** rng.uniform(-2, 1, CURVES), rng.uniform(5, 10, CURVES), 10 ** rng.uniform(-1, 1.5, CURVES)
    c = 0.99 * b / d * rng.uniform(0, 1, CURVES)  # it falls at 0
    curves = np.column_stack([a, b, c, d, 10 ** rng.uniform(-3, 2, CURVES)])
    curves = np.array([curve for curve in curves if is_steady(curve)])
    searches = [search(curve) for curve in curves]
    arrays["curves"] = curves
    arrays["tried"] = np.concatenate([tried for tried, _ in searches])
    arrays["tries"] = np.array([len(tried) for tried, _ in searches])
    arrays["found"] = np.array([t for _, t in searches])
    print(f"{len(curves)} curves, most tries {arrays['tries'].max()}")
    np.savez_compressed(Path(__file__).with_name("lbfgs.npz"), **arrays)


if __name__ == "__main__":
    main()
