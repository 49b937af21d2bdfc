"""Philox4x32-10 word by word.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

_M = 0xFFFFFFFF


def philox4x32(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        low, high = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (high >> 32) ^ c1 ^ k0, high & _M, (low >> 32) ^ c3 ^ k1, low & _M
        k0, k1 = (k0 + 0x9E3779B9) & _M, (k1 + 0xBB67AE85) & _M
    return c0, c1, c2, c3


def uniform(index: int, seed: int, stream: int) -> float:
    """Number `index` of the core's uniform stream: two 64-bit words a block, the upper 53 bits of each."""
    block = index // 2
    words = philox4x32((block & _M, block >> 32, stream & _M, stream >> 32), (seed & _M, seed >> 32))
    first = 2 * (index % 2)
    return ((words[first] | words[first + 1] << 32) >> 11) * 2.0**-53


# What random ops draw: words in groups of 16 blocks, the first words of all blocks first.


def stream_of(name: str) -> int:
    """The stream that goes by `name`: 63 bits of BLAKE2b."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little") >> 1


def run_key(seed: int, step: int) -> tuple[int, int]:
    """The key of a run: a 64-bit word of the seed's stream for steps."""
    block = step // 2
    words = philox4x32((block & _M, block >> 32, 0, 0x73746570), (seed & _M, seed >> 32))
    return words[2 * (step % 2)], words[2 * (step % 2) + 1]


def _bits(index: int, key: tuple[int, int], stream: int, width: int) -> int:
    """Number `index` of `width` words each."""
    number, i = divmod(index % (64 // width), 16)
    block = 16 * (index // (64 // width)) + i
    words = philox4x32((block & _M, block >> 32, stream & _M, stream >> 32), key)
    return sum(words[width * number + j] << 32 * j for j in range(width))


def words(count: int, stream: int, seed: int = 0, step: int = 0) -> NDArray[np.uint64]:
    """The first `count` words of 32 bits."""
    key = run_key(seed, step)
    return np.array([_bits(i, key, stream, 1) for i in range(count)], np.uint64)


def kept(shape: tuple[int, ...], rate: float, stream: int, seed: int = 0, step: int = 0) -> NDArray[np.bool_]:
    """Which elements dropout keeps."""
    drawn = words(math.prod(shape), stream, seed, step).reshape(shape)
    return np.asarray(drawn >= min(round(rate * 2**32), 2**32 - 1))


def uniforms(shape: tuple[int, ...], dtype: str, stream: int, seed: int = 0, step: int = 0) -> NDArray[Any]:
    """What the op random_uniform gives."""
    key, count = run_key(seed, step), math.prod(shape)
    if dtype == "float32":
        numbers = [(_bits(i, key, stream, 1) >> 8) * 2.0**-24 for i in range(count)]
    else:
        numbers = [(_bits(i, key, stream, 2) >> 12) * 2.0**-52 for i in range(count)]
    return np.array(numbers, dtype).reshape(shape)


def normals(shape: tuple[int, ...], dtype: str, stream: int, seed: int = 0, step: int = 0) -> NDArray[Any]:
    """What the op random_normal gives, in float64."""
    key = run_key(seed, step)
    return np.array([_normal(i, dtype, key, stream) for i in range(math.prod(shape))]).reshape(shape)


def _normal(index: int, dtype: str, key: tuple[int, int], stream: int) -> float:
    width = 1 if dtype == "float32" else 2
    here, other = index, index ^ 16  # both are made of the same two numbers
    radius, angle = (_bits(i, key, stream, width) for i in sorted((here, other)))
    if width == 1:
        u = float(np.float32(float(np.float32(radius >> 1)) * 2.0**-31 + 2.0**-32))
        turn = float(np.uint32(angle << 2 & _M).astype(np.int32)) * 2.0**-32
    else:
        u = ((radius >> 12) + 0.5) * 2.0**-52
        turn = ((angle << 2 & 2**64 - 1) >> 12) * 2.0**-52 - 0.5
    sign, turned = angle >> 32 * width - 1, angle >> 32 * width - 2 & 1
    across, along = math.sin(math.pi / 2 * turn), (-1) ** sign * math.cos(math.pi / 2 * turn)
    first = here < other
    return math.sqrt(-2 * math.log(u)) * (across if turned == first else along)
