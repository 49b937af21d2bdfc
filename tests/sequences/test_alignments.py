"""ctc_greedy, ctc_beam_search, edit_distance, error_rate."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from bpcore import decoding, losses, ops
from tests.support.alignments import collapsed

Z = 1.5 * np.random.default_rng(2).normal(size=(5, 5, 3))
FRAMES = np.array([5, 4, 1, 0, 3])


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_greedy_is_the_likeliest_alignment(blank: int) -> None:
    found = decoding.ctc_greedy(Z, FRAMES, blank=blank)
    scores = np.asarray(ops.log_softmax(Z))
    for i, labels in enumerate(found.sequences()):
        paths = list(product(range(3), repeat=int(FRAMES[i])))
        totals = [scores[i][np.arange(len(path)), np.array(path, int)].sum() for path in paths]
        assert labels.tolist() == collapsed(paths[int(np.argmax(totals))], blank)
        assert found.scores[i] == pytest.approx(max(totals))
    padding = np.arange(found.tokens.shape[1]) >= found.lengths[:, None]
    assert (found.tokens[padding] == -1).all()
    assert (found.tokens[~padding] >= 0).all()


@pytest.mark.parametrize("blank", [0, 1, 2])
def test_a_wide_beam_has_the_exact_probability_of_every_sequence_of_labels(blank: int) -> None:
    found = decoding.ctc_beam_search(Z, FRAMES, width=100, blank=blank)
    for i, labels in enumerate(found.sequences()):
        count = int(np.isfinite(found.scores[i]).sum())
        possible = {tuple(collapsed(path, blank)) for path in product(range(3), repeat=int(FRAMES[i]))}
        assert sorted(tuple(each.tolist()) for each in labels[:count]) == sorted(possible)
        for each, score in zip(labels[:count], found.scores[i], strict=False):
            lengths = np.array([FRAMES[i]]), np.array([len(each)])
            loss = ops.ctc(np.asarray(ops.log_softmax(Z[i : i + 1])), each[None], *lengths, blank)[0]
            assert -score == pytest.approx(loss, abs=1e-12)
        assert (np.diff(found.scores[i, :count]) <= 0).all()
        assert np.exp(found.scores[i, :count]).sum() == pytest.approx(1)
    assert (found.lengths[~np.isfinite(found.scores)] == 0).all()


def test_a_narrow_beam_keeps_the_likeliest_and_bounds_its_probability() -> None:
    z = np.random.default_rng(5).normal(size=(3, 12, 5))
    exact = np.asarray(ops.log_softmax(z))
    for width in (1, 2, 8, 64):
        found = decoding.ctc_beam_search(z, width=width)
        assert found.scores.shape == (3, width)
        whole = np.array([12])
        for i, labels in enumerate(found.sequences()):
            for each, score in zip(labels, found.scores[i], strict=True):
                if np.isfinite(score):
                    loss = ops.ctc(exact[i : i + 1], each[None], whole, np.array([len(each)]))[0]
                    assert score <= -loss + 1e-12
    np.testing.assert_allclose(losses.ctc(z, found.tokens[:, 0], "none"), -found.scores[:, 0], rtol=0.05)


def test_the_sum_over_alignments_may_beat_the_likeliest_alignment() -> None:
    """Two frames of blank 0.6, label 0.4: the likeliest path is blank, but a label has 1 - 0.36."""
    z = np.log(np.array([[[0.6, 0.4]] * 2]))
    assert decoding.ctc_greedy(z).lengths.tolist() == [0]
    best = decoding.ctc_beam_search(z, width=2)
    assert best.sequences()[0][0].tolist() == [1]
    np.testing.assert_allclose(np.exp(best.scores[0]), [0.64, 0.36])


def test_what_is_behind_the_last_frame_may_be_anything() -> None:
    z = Z.copy()
    z[1, 4:] = np.nan
    for search in (decoding.ctc_greedy, decoding.ctc_beam_search):
        for one, other in zip(search(z, FRAMES), search(Z, FRAMES), strict=True):
            np.testing.assert_array_equal(one, other)


def test_of_nothing() -> None:
    for shape in [(0, 4, 3), (2, 0, 3)]:
        assert decoding.ctc_greedy(np.zeros(shape)).tokens.shape == (shape[0], 0)
        assert decoding.ctc_beam_search(np.zeros(shape), width=3).tokens.shape == (shape[0], 3, 0)


@pytest.mark.parametrize("search", [decoding.ctc_greedy, decoding.ctc_beam_search])
@pytest.mark.parametrize(
    ("logits", "lengths", "options", "error", "message"),
    [
        (Z[0], None, {}, ValueError, r"logits must have shape \(n, frames, classes\), got \(5, 3\)"),
        (Z, [1, 2], {}, ValueError, "lengths must be 5 integers"),
        (Z, FRAMES + 0.5, {}, ValueError, "lengths must be 5 integers"),
        (Z, FRAMES + 1, {}, ValueError, "lengths must be from 0 to 5, got 1 to 6"),
        (Z, FRAMES - 1, {}, ValueError, "lengths must be from 0 to 5, got -1 to 4"),
        (Z, None, {"blank": 3}, ValueError, "blank must be one of the 3 classes, got 3"),
        (Z, None, {"blank": 0.0}, TypeError, "blank must be an integer"),
        (Z * np.nan, None, {}, ValueError, "logits must be finite"),
    ],
)
def test_wrong_arguments(
    search: Any, logits: Any, lengths: Any, options: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^{search.__name__}: {message}"):
        search(logits, lengths, **options)


# Distances


@pytest.mark.parametrize(
    ("a", "b", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("abc", "abc", 0),
        (["the", "cat", "sat"], ["the", "big", "cat"], 2),
        (np.array([1, 2, 3]), [3, 2, 1], 2),
        ([1, 2, 3], "123", 3),
    ],
)
def test_known_distances(a: Any, b: Any, distance: int) -> None:
    assert decoding.edit_distance(a, b) == distance
    assert decoding.edit_distance(b, a) == distance


def test_distances_of_random_sequences() -> None:
    def reference(a: list[int], b: list[int]) -> int:
        @cache
        def rest(i: int, j: int) -> int:
            if i == len(a) or j == len(b):
                return len(a) - i + len(b) - j
            if a[i] == b[j]:
                return rest(i + 1, j + 1)
            return 1 + min(rest(i + 1, j), rest(i, j + 1), rest(i + 1, j + 1))

        return rest(0, 0)

    rng = np.random.default_rng(3)
    for _ in range(100):
        a, b = (rng.integers(0, 4, rng.integers(0, 12)).tolist() for _ in range(2))
        assert decoding.edit_distance(a, b) == reference(a, b)


def test_error_rate_is_of_all_sequences_together() -> None:
    assert decoding.error_rate(["kitten", ""], ["sitting", "abc"]) == pytest.approx(6 / 10)
    assert decoding.error_rate([[1, 2]], [[1, 2]]) == 0
    assert decoding.error_rate(["abcdef"], ["x"]) == 6


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [(["a"], ["a", "b"], "1 sequences found, but 2 expected"), ([""], [""], "nothing is expected")],
)
def test_error_rate_refuses(found: Any, expected: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^error_rate: {message}"):
        decoding.error_rate(found, expected)
