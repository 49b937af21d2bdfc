"""Makes optimizers.npz: 1,000 float64 steps of a small sigmoid network with each of PyTorch's optimizers.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_optimizers.py

The network is 4-5-3 with a sigmoid between, the loss the mean squared error, and step i takes batch i modulo
BATCHES. Targets are noise, so that gradients don't vanish: on a batch that can be learned, adaptive methods
amplify rounding errors, and PyTorch started from weights 4e-16 away ends up 1e-3 away from itself. Here it
stays within 1e-9. The file holds

    x, y                 (BATCHES · 8, features): the batches, one after the other
    start/NAME           starting parameters, NAME as in bpcore ("0.weight" is (in, out))
    CASE/AT/NAME         parameters after AT steps, for each of CASES and AT in MOMENTS
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

MOMENTS = (1, 20, 100, 1000)
BATCHES = 20
# Case -> PyTorch's class and its arguments, which are bpcore's.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd decay": ("SGD", {"lr": 0.1, "weight_decay": 0.01}),
    "momentum": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01}),
    "nesterov": ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    "adagrad": ("Adagrad", {"lr": 0.05}),
    "adagrad decay": (
        "Adagrad",
        {"lr": 0.05, "lr_decay": 0.01, "weight_decay": 0.01, "initial_accumulator_value": 0.1, "eps": 1e-6},
    ),
    "adadelta": ("Adadelta", {"lr": 1.0}),
    "adadelta decay": ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-5, "weight_decay": 0.01}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop momentum": ("RMSprop", {"lr": 0.001, "momentum": 0.9, "weight_decay": 0.01}),
    "rmsprop centered": ("RMSprop", {"lr": 0.001, "alpha": 0.9, "centered": True, "eps": 1e-4}),
    "rmsprop centered momentum": (
        "RMSprop",
        {"lr": 0.001, "alpha": 0.9, "centered": True, "eps": 1e-4, "momentum": 0.5},
    ),
    "adam": ("Adam", {"lr": 0.01}),
    "adam decay": ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.01}),
    "adam amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True}),
    "adamw": ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    "adamw amsgrad": ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "amsgrad": True}),
    "adamax": ("Adamax", {"lr": 0.01}),
    "adamax decay": ("Adamax", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01}),
    "nadam decay": ("NAdam", {"lr": 0.01, "weight_decay": 0.01, "momentum_decay": 0.01}),
    "nadam decoupled": ("NAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "radam": ("RAdam", {"lr": 0.01}),
    "radam decay": ("RAdam", {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.01}),
    "radam decoupled": ("RAdam", {"lr": 0.01, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    "rprop": ("Rprop", {"lr": 0.01}),
    "rprop limits": ("Rprop", {"lr": 0.01, "etas": (0.4, 1.1), "step_sizes": (1e-4, 0.1)}),
}


def start(rng: np.random.Generator) -> dict[str, np.ndarray]:
    shapes = {"0.weight": (4, 5), "0.bias": (5,), "1.weight": (5, 3), "1.bias": (3,)}
    return {name: rng.normal(0, 0.7, shape) for name, shape in shapes.items()}


def train(case: str, values: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    parameters = {name: torch.tensor(value, requires_grad=True) for name, value in values.items()}
    kind, options = CASES[case]
    optimizer = getattr(torch.optim, kind)(list(parameters.values()), foreach=False, **options)
    batches = list(zip(torch.tensor(x).chunk(BATCHES), torch.tensor(y).chunk(BATCHES), strict=True))
    found = {}
    for step in range(1, max(MOMENTS) + 1):
        inputs, targets = batches[(step - 1) % BATCHES]
        hidden = torch.sigmoid(inputs @ parameters["0.weight"] + parameters["0.bias"])
        loss = torch.nn.functional.mse_loss(hidden @ parameters["1.weight"] + parameters["1.bias"], targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step in MOMENTS:
            found |= {f"{case}/{step}/{name}": p.detach().numpy().copy() for name, p in parameters.items()}
    return found


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(31)
    x, y = rng.normal(size=(8 * BATCHES, 4)), rng.normal(size=(8 * BATCHES, 3))
    values = start(rng)
    arrays = {"x": x, "y": y, **{f"start/{name}": value for name, value in values.items()}}
    for case in CASES:
        arrays |= train(case, values, x, y)
    np.savez_compressed(Path(__file__).with_name("optimizers.npz"), **arrays)


if __name__ == "__main__":
    main()
