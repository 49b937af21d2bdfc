"""Makes ctc.npz: PyTorch's ctc_loss of random logits, with derivatives, in float64.

For a developer, with PyTorch installed (2.x; the file in the tree comes from 2.13, CPU, one thread):

    python tests/golden/make_ctc.py

It needs nothing of bpcore, so that the file can't inherit its errors.

The file holds for each CASE (see CASES):
    CASE/z              (n, frames, classes) logits, float32 numbers
    CASE/y              (n, most labels) labels, -1 behind the last
    CASE/frames         (n,) how many frames count
    CASE/blank          number
    CASE/none, CASE/sum, CASE/mean          the losses
    CASE/dsum, CASE/dmean                   their derivatives by z; without sequences that have no alignment
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import ctc_loss, log_softmax

# sequences, frames, most labels, classes, blank
CASES = {
    "small": (4, 6, 3, 4, 0),
    "last_is_blank": (3, 20, 8, 5, 4),
    "middle_is_blank": (3, 30, 9, 4, 2),
    "two_classes": (3, 25, 5, 2, 0),
    "wide": (2, 60, 20, 30, 0),
    "long": (1, 1000, 90, 4, 0),
    "impossible": (4, 6, 5, 3, 0),
}


def main() -> None:
    torch.set_num_threads(1)
    file: dict[str, np.ndarray] = {}
    for number, (case, (n, frames, most, classes, blank)) in enumerate(CASES.items()):
        rng = np.random.default_rng([31, number])
        z = (2 * rng.normal(size=(n, frames, classes))).astype(np.float32)
        labels = (1 + blank + rng.integers(0, classes - 1, (n, most))) % classes
        counts = np.full(n, most)
        lengths = np.full(n, frames)
        if n > 1:
            counts[1:] = rng.integers(0, most + 1, n - 1)
            lengths[1:] -= rng.integers(0, frames // 5 + 1, n - 1)
        if case == "impossible":
            labels[:] = 1
            counts[:] = [3, 4, 5, 0]
            lengths[:] = [6, 6, 6, 6]
        file |= {f"{case}/z": z, f"{case}/frames": lengths, f"{case}/blank": np.array(blank)}
        file[f"{case}/y"] = np.where(np.arange(most) < counts[:, None], labels, -1)
        for reduction in ("none", "sum", "mean"):
            x = torch.tensor(z, dtype=torch.float64, requires_grad=True)
            value = ctc_loss(
                log_softmax(x, -1).transpose(0, 1), torch.tensor(labels), torch.tensor(lengths),
                torch.tensor(counts), blank, reduction, zero_infinity=reduction != "none",
            )  # fmt: skip
            file[f"{case}/{reduction}"] = value.detach().numpy()
            if reduction != "none":
                value.backward()
                file[f"{case}/d{reduction}"] = x.grad.numpy()
    np.savez_compressed(Path(__file__).with_name("ctc.npz"), **file)


if __name__ == "__main__":
    main()
