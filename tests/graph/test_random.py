"""Random numbers by counter: Philox4x32-10 against its published answers, and what is drawn from it."""

from __future__ import annotations

import numpy as np
import pytest

from bpcore._native import core
from tests.support.philox import philox4x32, uniform

# Random123's known answers (kat_vectors, philox4x32 10): counter, key, words
ALL = 0xFFFFFFFF
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ALL, ALL, ALL, ALL), (ALL, ALL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN, ids=["zeros", "ones", "pi"])
def test_reference_has_the_known_answers(counter: tuple, key: tuple, words: tuple) -> None:
    assert philox4x32(counter, key) == words


def test_first_uniforms_are_the_known_answer_of_zeros() -> None:
    a, b, c, d = KNOWN[0][2]
    want = [(word >> 11) * 2.0**-53 for word in (a | b << 32, c | d << 32)]
    assert core.random_uniform((2,), 0, 0).tolist() == want


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 0x299F31D0A4093822, 2**64 - 1])
@pytest.mark.parametrize("stream", [0, 1, 2**32, 0x0370734413198A2E, 2**64 - 1])
def test_uniforms_are_the_references_for_any_key_and_stream(seed: int, stream: int) -> None:
    want = [uniform(index, seed, stream) for index in range(21)]
    assert core.random_uniform((3, 7), seed, stream).ravel().tolist() == want


def test_normals_are_box_and_mullers_of_pairs_of_uniforms() -> None:
    u = core.random_uniform((1000, 2), 5, 9)
    want = np.sqrt(-2 * np.log1p(-u[:, 0])) * np.cos(2 * np.pi * u[:, 1])
    np.testing.assert_allclose(core.random_normal((1000,), 5, 9), want, rtol=1e-12, atol=1e-14)


def test_a_number_depends_on_its_index_alone() -> None:
    long = core.random_uniform((1001,), 3, 4)
    np.testing.assert_array_equal(core.random_uniform((7, 11), 3, 4).ravel(), long[:77])
    assert core.random_uniform((), 3, 4) == long[0]
    assert core.random_uniform((0, 3), 3, 4).shape == (0, 3)


def test_moments_and_streams() -> None:
    u, n = core.random_uniform((100_000,), 1, 0), core.random_normal((100_000,), 1, 1)
    assert 0 <= u.min() < 1e-4
    assert 1 - 1e-4 < u.max() < 1
    # Five standard errors of each estimate.
    assert abs(u.mean() - 0.5) < 5 * np.sqrt(1 / 12 / 1e5)
    assert abs(n.mean()) < 5 / np.sqrt(1e5)
    assert abs(n.var() - 1) < 5 * np.sqrt(2 / 1e5)
    assert abs((n**3).mean()) < 5 * np.sqrt(15 / 1e5)
    for other in (core.random_uniform((100_000,), 2, 0), core.random_uniform((100_000,), 1, 1)):
        assert abs(np.corrcoef(u, other)[0, 1]) < 5 / np.sqrt(1e5)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 1000])
def test_permutation_is_one(n: int) -> None:
    order = core.permutation(n, 3, 5)
    assert order.dtype == np.int64
    np.testing.assert_array_equal(np.sort(order), np.arange(n))


def test_permutation_is_keyed_by_seed_and_epoch() -> None:
    base = core.permutation(100, 7, 0)
    np.testing.assert_array_equal(base, core.permutation(100, 7, 0))
    for other in (
        core.permutation(100, 8, 0),
        core.permutation(100, 7, 1),
        core.permutation(100, 0, 7),
        np.arange(100),
    ):
        assert (base != other).mean() > 0.8


def test_permutations_are_evenly_distributed() -> None:
    """All 24 orders of four: chi-squared of 23 degrees of freedom exceeds 59.2 once in 20,000 times."""
    orders = [tuple(core.permutation(4, 1, epoch)) for epoch in range(4800)]
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 24
    assert ((counts - 200) ** 2 / 200).sum() < 59.2


def test_negative_count_is_an_error() -> None:
    with pytest.raises(ValueError, match="^permutation: n must not be negative, got -1"):
        core.permutation(-1, 0, 0)
