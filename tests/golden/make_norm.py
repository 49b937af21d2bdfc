"""Makes norm.npz: what PyTorch's normalisations make of random input, with derivatives.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_norm.py

It needs nothing of bpcore, so that the file can't inherit its errors. Channels come last here; PyTorch gets
them where it wants them. Input, weights and seeds are float32 numbers, the same for both dtypes.

The file holds for each CASE (see CASES):
    CASE/x, CASE/seed           (steps, *shape): input of each step, and the derivatives of the result
    CASE/weight, CASE/bias      of the layer; for weight normalisation CASE/weight_v (in, out), CASE/weight_g
    CASE/DTYPE/y, .../dx        (steps, *shape): result and derivative by the input, in training
    CASE/DTYPE/dNAME            (steps, *shape): derivative by the parameter NAME
    CASE/DTYPE/running_mean     (steps, channels), after each step, and running_var; for batch normalisation,
    CASE/DTYPE/inference        (*shape): as is the result for the last input in inference, after all steps
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

STEPS = 4
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "batch": (lambda: nn.BatchNorm1d(5), (6, 5)),
    "batch_images": (lambda: nn.BatchNorm2d(5, eps=1e-3, momentum=0.3), (2, 3, 2, 5)),
    "batch_cumulative": (lambda: nn.BatchNorm1d(3, momentum=None), (4, 3)),
    "layer": (lambda: nn.LayerNorm(7), (4, 3, 7)),
    "layer_two_axes": (lambda: nn.LayerNorm((3, 4), eps=1e-3), (2, 3, 4)),
    "rms": (lambda: nn.RMSNorm(7), (4, 7)),
    "rms_eps": (lambda: nn.RMSNorm((2, 5), eps=1e-2), (3, 2, 5)),
    "group": (lambda: nn.GroupNorm(2, 6), (3, 6)),
    "group_images": (lambda: nn.GroupNorm(3, 6, eps=1e-3), (2, 3, 2, 6)),
    "instance": (lambda: nn.InstanceNorm1d(4, affine=True), (2, 5, 4)),
    "instance_images": (lambda: nn.InstanceNorm2d(3, affine=True, eps=1e-3), (2, 3, 4, 3)),
    "weight": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(5, 3)), (4, 5)),
}


def channels_first(case: str, x: torch.Tensor) -> torch.Tensor:
    return x.movedim(-1, 1) if case.startswith(("batch", "group", "instance")) else x


def channels_last(case: str, x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1) if case.startswith(("batch", "group", "instance")) else x


def parameters_of(case: str, layer: nn.Module) -> dict[str, torch.Tensor]:
    """By bpcore's names; of weight normalisation in PyTorch's shapes, g (out, 1) and v (out, in)."""
    if case != "weight":
        return dict(layer.named_parameters())
    g, v = layer.parametrizations.weight.original0, layer.parametrizations.weight.original1
    return {"weight_v": v, "weight_g": g, "bias": layer.bias}


def in_bpcores_shape(name: str, value: torch.Tensor) -> np.ndarray:
    array = value.detach().numpy().copy()
    return array.T.copy() if name == "weight_v" else array[:, 0] if name == "weight_g" else array


def run(case: str, arrays: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, np.ndarray]:
    """All steps of one case in one dtype."""
    layer = CASES[case][0]().to(dtype)
    named = parameters_of(case, layer)
    with torch.no_grad():
        for name, parameter in named.items():
            value = torch.tensor(arrays[name], dtype=dtype)
            parameter.copy_(
                value.T if name == "weight_v" else value[:, None] if name == "weight_g" else value
            )
    found: dict[str, list[np.ndarray]] = {}

    def keep(name: str, value: np.ndarray) -> None:
        found.setdefault(name, []).append(value)

    for features, seed in zip(arrays["x"], arrays["seed"], strict=True):
        x = torch.tensor(features, dtype=dtype, requires_grad=True)
        y = channels_last(case, layer(channels_first(case, x)))
        layer.zero_grad()
        y.backward(torch.tensor(seed, dtype=dtype))
        keep("y", y.detach().numpy().copy())
        keep("dx", x.grad.numpy().copy())
        for name, parameter in named.items():
            keep(f"d{name}", in_bpcores_shape(name, parameter.grad))
        for name in ("running_mean", "running_var"):
            if getattr(layer, name, None) is not None:
                keep(name, getattr(layer, name).numpy().copy())
    results = {name: np.stack(values) for name, values in found.items()}
    if case.startswith("batch"):
        layer.eval()
        last = torch.tensor(arrays["x"][-1], dtype=dtype)
        results["inference"] = channels_last(case, layer(channels_first(case, last))).detach().numpy()
    return results


def main() -> None:
    torch.set_num_threads(1)
    file: dict[str, np.ndarray] = {}
    for number, (case, (make, shape)) in enumerate(CASES.items()):
        rng = np.random.default_rng([21, number])
        named = {name: in_bpcores_shape(name, p) for name, p in parameters_of(case, make()).items()}
        out = (*shape[:-1], 3) if case == "weight" else shape
        scales = 1 + np.arange(shape[-1])  # so that mixing channels up shows
        arrays = {
            "x": (rng.normal(size=(STEPS, *shape)) * scales + scales[::-1]).astype(np.float32),
            "seed": rng.normal(size=(STEPS, *out)).astype(np.float32),
            **{name: rng.normal(1, 0.5, value.shape).astype(np.float32) for name, value in named.items()},
        }
        file |= {f"{case}/{name}": value for name, value in arrays.items()}
        for dtype in ("float32", "float64"):
            results = run(case, arrays, getattr(torch, dtype))
            file |= {f"{case}/{dtype}/{name}": value for name, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("norm.npz"), **file)


if __name__ == "__main__":
    main()
