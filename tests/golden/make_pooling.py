"""Makes pooling.npz: what PyTorch's pooling, upsampling and embedding make of random input, with derivatives.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_pooling.py

It needs nothing of bpcore, so that the file can't inherit its errors. Channels come last here; PyTorch gets
them where it wants them. Input and seeds are float32 numbers, the same for both dtypes.

The file holds for each CASE (see CASES):
    CASE/x, CASE/seed           input, and the derivatives of the result
    CASE/DTYPE/y, CASE/DTYPE/dx result, and derivative by the input
and for embedding/ (a padded one embedding_padded/): tokens, weight, seed; DTYPE/y, DTYPE/dweight.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

CASES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "max": (lambda x: functional.max_pool2d(x, 2), (2, 5, 6, 3)),
    "max_overlapping": (lambda x: functional.max_pool2d(x, 3, 2, 1), (2, 7, 6, 5)),
    "max_dilated": (lambda x: functional.max_pool2d(x, (2, 3), (1, 2), (1, 1), (2, 1)), (1, 6, 7, 2)),
    "max_1d": (lambda x: functional.max_pool1d(x, 3, 2), (2, 9, 4)),
    "avg": (lambda x: functional.avg_pool2d(x, (2, 3)), (2, 5, 6, 3)),
    "avg_inside": (lambda x: functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False), (2, 7, 6, 5)),
    "avg_padded": (lambda x: functional.avg_pool2d(x, 3, 1, 1), (1, 4, 5, 2)),
    "avg_1d": (lambda x: functional.avg_pool1d(x, 2, 1), (2, 6, 3)),
    "nearest": (lambda x: functional.interpolate(x, scale_factor=(2, 3)), (2, 3, 4, 2)),
    "bilinear": (
        lambda x: functional.interpolate(x, scale_factor=(3, 2), mode="bilinear", align_corners=False),
        (2, 4, 3, 2),
    ),
    "linear_1d": (
        lambda x: functional.interpolate(x, scale_factor=4, mode="linear", align_corners=False),
        (2, 5, 3),
    ),
}


def main() -> None:
    torch.set_num_threads(1)
    file: dict[str, np.ndarray] = {}
    for number, (case, (function, shape)) in enumerate(CASES.items()):
        rng = np.random.default_rng([22, number])
        # Whole numbers, so that some are equal in a window.
        whole = case.startswith("max")
        given = (rng.integers(-3, 4, shape) if whole else rng.normal(size=shape)).astype(np.float32)
        out = function(torch.tensor(given).movedim(-1, 1)).movedim(1, -1).shape
        seed = rng.normal(size=tuple(out)).astype(np.float32)
        file |= {f"{case}/x": given, f"{case}/seed": seed}
        for dtype in ("float32", "float64"):
            x = torch.tensor(given, dtype=getattr(torch, dtype), requires_grad=True)
            y = function(x.movedim(-1, 1)).movedim(1, -1)
            y.backward(torch.tensor(seed, dtype=x.dtype))
            file |= {f"{case}/{dtype}/y": y.detach().numpy(), f"{case}/{dtype}/dx": x.grad.numpy()}
    for case, padding in (("embedding", None), ("embedding_padded", 2)):
        rng = np.random.default_rng(23)
        tokens, seed = rng.integers(0, 7, (3, 5)), rng.normal(size=(3, 5, 4)).astype(np.float32)
        weight = rng.normal(size=(7, 4)).astype(np.float32)
        if padding is not None:
            weight[padding] = 0
        file |= {f"{case}/tokens": tokens, f"{case}/seed": seed, f"{case}/weight": weight}
        for dtype in ("float32", "float64"):
            layer = nn.Embedding.from_pretrained(
                torch.tensor(weight, dtype=getattr(torch, dtype)), freeze=False, padding_idx=padding
            )
            y = layer(torch.tensor(tokens))
            y.backward(torch.tensor(seed, dtype=y.dtype))
            file |= {f"{case}/{dtype}/y": y.detach().numpy()}
            file |= {f"{case}/{dtype}/dweight": layer.weight.grad.numpy()}
    np.savez_compressed(Path(__file__).with_name("pooling.npz"), **file)


if __name__ == "__main__":
    main()
