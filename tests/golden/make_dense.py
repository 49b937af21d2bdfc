"""Makes dense_float32.npz and dense_float64.npz: ten training steps of small networks, as PyTorch takes them.

For a developer, with PyTorch installed (2.x; the files in the tree come from 2.13, CPU, one thread):

    python tests/golden/make_dense.py

It needs nothing of bpcore, so that the files can't inherit its errors. Starting values are the same in both
files (those of float64 are the float32 ones, exactly), so only the arithmetic differs.

Each file holds, for a network NET (see NETWORKS) and a way to train it CASE (see CASES):
    NET/start/NAME              starting parameters, NAME as in bpcore ("0.weight" is (in, out))
    NET/x                       (steps, batch, in): one batch a step
    NET/y                       (steps, batch[, out]): its targets, int64 classes for cross-entropy
    NET/CASE/losses             (steps,), always float64
    NET/CASE/gradients/NAME     (steps, *shape): gradient of each step's loss before its update, without decay
    NET/CASE/end/NAME           parameters after the last step
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

STEPS = 10
BATCH = 12
NETWORKS: dict[str, dict[str, Any]] = {
    "classes": {"sizes": (6, 8, 7, 4), "activations": ("tanh", "relu", None), "loss": "cross_entropy"},
    "values": {"sizes": (5, 6, 4, 2), "activations": ("sigmoid", "tanh", None), "loss": "mse"},
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_decay": ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9}),
    "momentum_decay": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.05}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "nesterov_decay": ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    "adam": ("Adam", {"lr": 0.02}),
    "adam_decay": ("Adam", {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.05}),
}
FUNCTIONS = {None: lambda x: x, "relu": torch.relu, "sigmoid": torch.sigmoid, "tanh": torch.tanh}


def start(network: dict[str, Any], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Weights (in, out) and biases; biases are not zero, so that mixing them up shows."""
    values = {}
    for i, (fan_in, fan_out) in enumerate(zip(network["sizes"][:-1], network["sizes"][1:], strict=True)):
        values[f"{i}.weight"] = rng.normal(0, 1 / np.sqrt(fan_in), (fan_in, fan_out)).astype(np.float32)
        values[f"{i}.bias"] = rng.normal(0, 0.1, fan_out).astype(np.float32)
    return values


def batches(network: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.normal(size=(STEPS, BATCH, network["sizes"][0])).astype(np.float32)
    if network["loss"] == "cross_entropy":
        return x, rng.integers(0, network["sizes"][-1], (STEPS, BATCH))
    return x, rng.normal(size=(STEPS, BATCH, network["sizes"][-1])).astype(np.float32)


def train(
    network: dict[str, Any],
    case: str,
    values: dict[str, np.ndarray],
    x: np.ndarray,
    y: np.ndarray,
    dtype: torch.dtype,
) -> dict[str, np.ndarray]:
    """Ten steps; the arrays of one NET/CASE."""
    parameters = {
        name: torch.tensor(value, dtype=dtype, requires_grad=True) for name, value in values.items()
    }
    kind, options = CASES[case]
    optimizer = getattr(torch.optim, kind)(list(parameters.values()), **options)
    loss_of = getattr(torch.nn.functional, {"mse": "mse_loss"}.get(network["loss"], network["loss"]))
    losses, gradients = [], {name: [] for name in parameters}
    for features, targets in zip(x, y, strict=True):
        h = torch.tensor(features, dtype=dtype)
        for i, activation in enumerate(network["activations"]):
            h = FUNCTIONS[activation](h @ parameters[f"{i}.weight"] + parameters[f"{i}.bias"])
        target = torch.tensor(targets)
        loss = loss_of(h, target if network["loss"] == "cross_entropy" else target.to(dtype))
        optimizer.zero_grad()
        loss.backward()
        losses.append(loss.item())
        for name, parameter in parameters.items():
            gradients[name].append(parameter.grad.numpy().copy())
        optimizer.step()
    return {
        "losses": np.array(losses),
        **{f"gradients/{name}": np.stack(each) for name, each in gradients.items()},
        **{f"end/{name}": parameter.detach().numpy() for name, parameter in parameters.items()},
    }


def main() -> None:
    torch.set_num_threads(1)
    for dtype in ("float32", "float64"):
        arrays: dict[str, np.ndarray] = {}
        for number, (net, network) in enumerate(NETWORKS.items()):
            rng = np.random.default_rng([20, number])
            values, (x, y) = start(network, rng), batches(network, rng)
            arrays |= {f"{net}/x": x, f"{net}/y": y}
            arrays |= {f"{net}/start/{name}": value for name, value in values.items()}
            for case in CASES:
                results = train(network, case, values, x, y, getattr(torch, dtype))
                arrays |= {f"{net}/{case}/{name}": value for name, value in results.items()}
        np.savez_compressed(Path(__file__).with_name(f"dense_{dtype}.npz"), **arrays)


if __name__ == "__main__":
    main()
