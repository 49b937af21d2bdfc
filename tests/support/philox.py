"""Philox4x32-10 word by word.

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

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
