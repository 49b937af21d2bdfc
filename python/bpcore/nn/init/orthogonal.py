"""Random orthogonal matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bpcore._native import core
from bpcore.basics.settings import number
from bpcore.nn.init.common import Settings

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["Orthogonal"]


class Orthogonal(Settings):
    """`gain` times a matrix with orthonormal columns or, if it is wider than high, orthonormal rows.

    A weight of shape (..., last) counts as a matrix of shape (product of the others, last). All such matrices
    are equally likely: it is the Q of a normal random matrix's QR decomposition, with the signs that make R's
    diagonal positive (F. Mezzadri, How to generate random matrices from the classical compact groups, 2007).
    A. M. Saxe et al., Exact solutions to the nonlinear dynamics of learning in deep linear neural networks
    (2014).

    The decomposition is LAPACK's, by NumPy: on another machine, values may differ by rounding.

    TypeError if `gain` is not a number, ValueError if it isn't finite, and for shapes of less than two axes.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = number("Orthogonal", "gain", gain)

    def __call__(self, shape: tuple[int, ...], seed: int, stream: int) -> Array:
        """Values of `shape`, float64."""
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: expected a shape of two axes or more, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        normal = core.random_normal((max(rows, columns), min(rows, columns)), seed, stream)
        q, r = np.linalg.qr(normal)
        q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return self.gain * np.ascontiguousarray(q if rows >= columns else q.T).reshape(shape)
