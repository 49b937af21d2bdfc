"""losses.ctc is PyTorch's ctc_loss of log_softmax; see make_ctc.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses

GOLDEN = np.load(Path(__file__).with_name("ctc.npz"))
CASES = sorted({name.split("/")[0] for name in GOLDEN.files})


def test_the_file_is_read() -> None:
    assert len(CASES) == 7
    assert {np.isinf(GOLDEN[f"{case}/none"]).any() for case in CASES} == {False, True}


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_values_and_derivatives(case: str, dtype: str, reduction: str) -> None:
    z, y, frames = (GOLDEN[f"{case}/{name}"] for name in ("z", "y", "frames"))
    blank, ignoring = int(GOLDEN[f"{case}/blank"]), reduction != "none"
    eps = float(np.finfo(dtype).eps)

    def loss(x: np.ndarray) -> np.ndarray:
        value: np.ndarray = losses.ctc((x, frames), y, reduction, blank=blank, zero_infinity=ignoring)
        return value

    x = z.astype(dtype)
    np.testing.assert_allclose(loss(x), GOLDEN[f"{case}/{reduction}"], rtol=64 * eps)
    if ignoring:
        value, slopes = bp.value_and_grad(loss)(x)
        np.testing.assert_allclose(value, GOLDEN[f"{case}/{reduction}"], rtol=64 * eps)
        atol = 2e-12 if dtype == "float64" else 2e-5
        np.testing.assert_allclose(slopes, GOLDEN[f"{case}/d{reduction}"], atol=atol)
