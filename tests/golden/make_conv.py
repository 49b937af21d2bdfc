"""Makes conv.npz: what PyTorch's convolutions make of random input, with derivatives.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_conv.py

It needs nothing of bpcore, so that the file can't inherit its errors. Here, channels come last, and a weight
is (*kernel, channels, filters); PyTorch gets and gives them in its own order. Input, weights and seeds are
float32 numbers, the same for both dtypes.

The file holds for each CASE (see CASES):
    CASE/x, CASE/seed           input, and the derivative of the result
    CASE/weight, CASE/bias      of the layer
    CASE/DTYPE/y, .../dx        result, and derivative by the input
    CASE/DTYPE/dweight, dbias   derivatives by the parameters
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

# The layer, perhaps with what stands around it, and the shape of the input.
CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "conv": (lambda: nn.Conv2d(3, 5, 3), (2, 6, 7, 3)),
    "conv_first": (lambda: nn.Conv2d(1, 8, 5, padding=2), (2, 9, 9, 1)),
    "conv_strided": (lambda: nn.Conv2d(4, 6, (3, 2), stride=(2, 3), padding=(1, 0)), (2, 7, 9, 4)),
    "conv_dilated": (lambda: nn.Conv2d(2, 3, 3, dilation=(2, 1), padding=(2, 1)), (2, 7, 5, 2)),
    "conv_groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, padding=1), (2, 5, 5, 4)),
    "conv_relu": (lambda: nn.Sequential(nn.Conv2d(3, 4, 2), nn.ReLU()), (2, 4, 5, 3)),
    "conv_uneven": (lambda: nn.Sequential(nn.ZeroPad2d((0, 2, 1, 0)), nn.Conv2d(2, 3, 2)), (2, 4, 4, 2)),
    "signal": (lambda: nn.Conv1d(3, 4, 3, stride=2, padding=1), (2, 9, 3)),
    "signal_causal": (
        lambda: nn.Sequential(nn.ZeroPad1d((4, 0)), nn.Conv1d(2, 3, 3, dilation=2)),
        (2, 8, 2),
    ),
    "depthwise": (lambda: nn.Conv2d(3, 6, 3, stride=2, groups=3, padding=1), (2, 6, 7, 3)),
    "depthwise_signal": (lambda: nn.Conv1d(4, 4, 3, groups=4), (2, 7, 4)),
    "transposed": (lambda: nn.ConvTranspose2d(3, 4, 3), (2, 4, 5, 3)),
    "transposed_strided": (
        lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2),
        (2, 4, 3, 4),
    ),
    "transposed_dilated": (
        lambda: nn.ConvTranspose2d(2, 3, (2, 3), stride=(3, 1), padding=(0, 2), dilation=(1, 2)),
        (2, 3, 4, 2),
    ),
    "transposed_signal": (lambda: nn.ConvTranspose1d(3, 2, 4, stride=3, output_padding=2), (2, 5, 3)),
}


def layer_of(module: nn.Module) -> nn.Module:
    return next(m for m in module.modules() if hasattr(m, "kernel_size"))


def channels_last(x: torch.Tensor) -> np.ndarray:
    return x.detach().movedim(1, -1).numpy().copy()


def kernel_last(weight: torch.Tensor) -> np.ndarray:
    """(filters, channels, *kernel), of a transposed one (channels, filters, *kernel), turned around."""
    return np.moveaxis(weight.detach().numpy(), (0, 1), (-1, -2)).copy()


def run(case: str, arrays: dict[str, np.ndarray], dtype: torch.dtype) -> dict[str, np.ndarray]:
    module = CASES[case][0]().to(dtype)
    layer = layer_of(module)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(np.moveaxis(arrays["weight"], (-1, -2), (0, 1)).copy(), dtype=dtype))
        layer.bias.copy_(torch.tensor(arrays["bias"], dtype=dtype))
    x = torch.tensor(arrays["x"], dtype=dtype, requires_grad=True)
    y = module(x.movedim(-1, 1))
    y.backward(torch.tensor(arrays["seed"], dtype=dtype).movedim(-1, 1))
    return {
        "y": channels_last(y),
        "dx": x.grad.numpy().copy(),
        "dweight": kernel_last(layer.weight.grad),
        "dbias": layer.bias.grad.numpy().copy(),
    }


def main() -> None:
    torch.set_num_threads(1)
    file: dict[str, np.ndarray] = {}
    for number, (case, (make, shape)) in enumerate(CASES.items()):
        rng = np.random.default_rng([31, number])
        module = make()
        weight = kernel_last(layer_of(module).weight)
        out = channels_last(module(torch.zeros(shape).movedim(-1, 1))).shape
        arrays = {
            "x": rng.normal(size=shape),
            "seed": rng.normal(size=out),
            "weight": rng.normal(0, 0.5, weight.shape),
            "bias": rng.normal(0, 0.5, layer_of(module).bias.shape),
        }
        arrays = {name: value.astype(np.float32) for name, value in arrays.items()}
        file |= {f"{case}/{name}": value for name, value in arrays.items()}
        for dtype in ("float32", "float64"):
            results = run(case, arrays, getattr(torch, dtype))
            file |= {f"{case}/{dtype}/{name}": value for name, value in results.items()}
    np.savez_compressed(Path(__file__).with_name("conv.npz"), **file)


if __name__ == "__main__":
    main()
