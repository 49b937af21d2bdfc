"""Initial values of parameters.

An initializer is called with the parameter's shape, a seed and a stream number (made from the parameter's
name) and returns float64 values; the same three give the same values on every machine, up to the rounding of
logarithms and the like. Functions of one's own may take the shape alone.

Fans are those of a weight of shape (in, out), or (..., in, out) for a kernel that slides over the axes
before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics.names import lookup
from bpcore.nn.init.common import Initializer, fans
from bpcore.nn.init.constants import Constant, Identity, Ones, Zeros
from bpcore.nn.init.distributions import Normal, TruncatedNormal, Uniform
from bpcore.nn.init.functions import from_function
from bpcore.nn.init.orthogonal import Orthogonal
from bpcore.nn.init.scaled import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Normal",
    "Ones",
    "Orthogonal",
    "TruncatedNormal",
    "Uniform",
    "Zeros",
    "fans",
    "resolve",
]

_NAMED: dict[str, Callable[[], Initializer]] = {
    "constant": Constant,
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "identity": Identity,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "normal": Normal,
    "ones": Ones,
    "orthogonal": Orthogonal,
    "truncated_normal": TruncatedNormal,
    "uniform": Uniform,
    "zeros": Zeros,
}


def resolve(init: Any) -> Initializer:
    """An initializer from its name (with its defaults), a number (a constant), itself or a function.

    A function takes (shape, seed, stream), or the shape alone. ValueError for unknown names, TypeError for
    anything else.
    """
    if isinstance(init, str):
        return lookup("initializer", init, _NAMED)()
    if isinstance(init, (int, float, np.integer, np.floating)) and not isinstance(init, bool):
        return Constant(float(init))
    if isinstance(init, type):
        raise TypeError(f"an initializer is a name, a number or a function: {init.__name__}(), with ()")
    if callable(init):
        return from_function(init)
    raise TypeError(f"an initializer is a name, a number or a function, got {init!r}")
