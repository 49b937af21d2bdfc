"""ctc and the op of its derivative."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import ops
from bpcore.symbolic.operators import apply
from tests.support import alignments
from tests.support.check_op import Case
from tests.support.draw import integers, normal
from tests.support.graphs import f32, f64, i64, infer

# sequences, frames, labels, classes. Numbers of states around the widths of vectors, and more than one.
SIZES = [
    (1, 1, 1, 2),
    (3, 4, 2, 3),
    (2, 5, 0, 3),
    (2, 0, 2, 3),
    (0, 3, 2, 3),
    (4, 9, 3, 2),
    (2, 20, 7, 5),
    (2, 20, 8, 5),
    (2, 40, 15, 4),
    (2, 40, 16, 4),
    (2, 40, 17, 7),
    (3, 70, 33, 40),
]


def problem(size: tuple[int, int, int, int], blank: int = 0) -> list[np.ndarray]:
    """Log-probabilities, labels with repetitions and -7 behind them, and lengths, full ones and less."""
    n, frames, most, classes = size
    scores = np.asarray(ops.log_softmax(normal((n, frames, classes))))
    labels = (1 + blank + integers((n, most), 0, classes - 1)) % classes
    input_lengths, label_lengths = np.full(n, frames), np.full(n, most)
    input_lengths[1:] -= integers((max(n - 1, 0),), 0, frames // 4 + 1)
    label_lengths[1:] -= integers((max(n - 1, 0),), 0, most // 2 + 1)
    labels[np.arange(most) >= label_lengths[:, None]] = -7
    return [scores, labels, input_lengths, label_lengths]


CASES = [
    case
    for size in SIZES
    for blank in (0, size[3] - 1)
    for case in [
        Case(ops.ctc, alignments.ctc, *problem(size, blank), floor=1, blank=blank),
        Case(
            "ctc_gradient",
            alignments.ctc_gradient,
            *problem(size, blank),
            normal((size[0],)),
            blank=blank,
            epsilons=8 + 8 * size[1],  # exponentials of sums over all frames
            floor=1,
            differentiable=False,
        ),
    ]
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_derivatives(case: Case) -> None:
    case.check()


@pytest.mark.parametrize("blank", [0, 1, 2])
@pytest.mark.parametrize(
    "labels", [[], [0], [0, 0], [0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 0, 0, 1]], ids=str
)
def test_it_is_the_sum_over_all_alignments(labels: list[int], blank: int) -> None:
    """`labels` count the classes that are not the blank; three of equal ones need five frames."""
    named = [[c for c in range(3) if c != blank][label] for label in labels]
    for frames in range(7):
        scores = normal((2, 6, 3), key=frames)  # not normalised: the sum is what it is of any scores
        args = [
            scores,
            np.array([named, named], int),
            np.array([frames, 6]),
            np.full(2, len(named)),
        ]
        losses, slopes = alignments.ctc_by_enumeration(*args, blank)
        np.testing.assert_allclose(ops.ctc(*args, blank), losses, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(alignments.ctc(*args, blank), losses, rtol=1e-13, atol=1e-13)
        got = apply("ctc_gradient", *args, np.ones(2), blank=blank)
        np.testing.assert_allclose(got, slopes, atol=1e-13)


def test_a_sequence_without_an_alignment_is_infinite_with_a_derivative_of_0() -> None:
    scores = normal((4, 4, 3))
    labels = np.array([[1, 1, 1], [1, 2, 1], [1, 1, 2], [1, 1, 2]])
    lengths = np.array([4, 2, 3, 4]), np.array([3, 3, 3, 3])
    losses, slopes = ops.ctc(scores, labels, *lengths), _slopes(scores, labels, *lengths)
    np.testing.assert_array_equal(np.isinf(losses), [True, True, True, False])
    np.testing.assert_array_equal(slopes[:3], 0)
    assert slopes[3].any()


def test_classes_of_probability_0_are_no_way() -> None:
    shares = np.array([[[0.5, 0.5, 0.0], [0.0, 0.25, 0.75]], [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]])
    scores = np.asarray(ops.log(shares))
    labels, lengths = np.array([[1], [1]]), (np.array([2, 2]), np.array([1, 1]))
    np.testing.assert_allclose(ops.ctc(scores, labels, *lengths), [-np.log(0.25), np.inf])
    np.testing.assert_allclose(
        _slopes(scores, labels, *lengths)[0], [[-0.5, -0.5, 0], [0, -1, 0]], atol=1e-15
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_thousand_frames_lose_nothing(dtype: str) -> None:
    """Unlikely labels too, whose path is far from the likely ones all the time."""
    scores = np.asarray(ops.log_softmax((6 * normal((2, 1000, 5))).astype(dtype)))
    scores[1, :, 0] += 50
    labels, lengths = 1 + integers((2, 120), 0, 4), (np.array([1000, 1000]), np.array([120, 120]))
    wide = scores.astype("float64")
    rtol = 1e-7 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(
        ops.ctc(scores, labels, *lengths), alignments.ctc(wide, labels, *lengths), rtol=rtol
    )
    got = apply("ctc_gradient", scores, labels, *lengths, np.ones(2, dtype), blank=0)
    want = alignments.ctc_gradient(wide, labels, *lengths, np.ones(2))
    np.testing.assert_allclose(got, want, atol=1e-6 if dtype == "float32" else 1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_stays_in_its_sequence(dtype: str) -> None:
    scores, labels, *lengths = problem((3, 20, 7, 5))
    scores = scores.astype(dtype)
    scores[1, 3] = np.nan
    np.testing.assert_array_equal(np.isnan(ops.ctc(scores, labels, *lengths)), [False, True, False])
    slopes = _slopes(scores, labels, *lengths)
    assert np.isnan(slopes[1]).any()
    assert np.isfinite(slopes[[0, 2]]).all()


def test_a_sequence_does_not_depend_on_the_others_or_on_what_is_behind_it() -> None:
    scores, labels, *lengths = problem((3, 20, 8, 5))
    lengths[0][1] = 17
    together, slopes = ops.ctc(scores, labels, *lengths), _slopes(scores, labels, *lengths)
    np.testing.assert_array_equal(slopes[1, 17:], 0)
    scores[1, 17:] = np.nan
    own = [each[1:2] for each in (scores, labels, *lengths)]
    np.testing.assert_array_equal(ops.ctc(*own), together[1:2])
    np.testing.assert_array_equal(_slopes(*own), slopes[1:2])


def test_the_number_of_threads_changes_no_bit() -> None:
    args = problem((64, 100, 20, 30))
    before, results = bp.runtime.threads(), set()
    try:
        for threads in (1, 2, 3, 8):
            bp.runtime.set_threads(threads)
            results.add((np.asarray(ops.ctc(*args)).tobytes(), _slopes(*args).tobytes()))
    finally:
        bp.runtime.set_threads(before)
    assert len(results) == 1


def test_there_is_no_second_derivative() -> None:
    args = problem((1, 4, 2, 3))

    def slope(x: Any) -> Any:
        return ops.sum(ops.square(bp.grad(lambda z: ops.sum(ops.ctc(z, *args[1:])))(x)))

    with pytest.raises(Exception, match="ctc_gradient: has no derivative"):
        bp.grad(slope)(args[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({1: [[1, 5]]}, r"^ctc: index 5 is out of range \[0, 3\)"),
        ({1: [[-1, 1]]}, r"^ctc: index -1 is out of range \[0, 3\)"),
        ({2: [5]}, r"^ctc: length 5 is out of range \[0, 4\]$"),
        ({2: [-1]}, r"^ctc: length -1 is out of range \[0, 4\]$"),
        ({3: [3]}, r"^ctc: length 3 is out of range \[0, 2\]$"),
        ({3: [-(2**62)]}, r"^ctc: length -4611686018427387904 is out of range \[0, 2\]$"),
    ],
)
def test_numbers_out_of_range_are_a_value_error(change: dict[int, Any], message: str) -> None:
    args = [normal((1, 4, 3)), np.array([[1, 2]]), np.array([4]), np.array([2])]
    for number, value in change.items():
        args[number] = np.array(value)
    with pytest.raises(ValueError, match=message):
        ops.ctc(*args)
    with pytest.raises(ValueError, match=message):
        apply("ctc_gradient", *args, np.ones(1), blank=0)


@pytest.mark.parametrize(
    ("types", "blank", "error", "message"),
    [
        ([f64(4, 3), i64(4, 2), i64(4), i64(4)], 0, ValueError, r"\(sequences, frames, classes\).*\(4, 3\)"),
        ([f64(4, 3, 0), i64(4, 2), i64(4), i64(4)], 0, ValueError, r"\(4, 3, 0\)"),
        (
            [f64(4, 3, 5), i64(3, 2), i64(4), i64(4)],
            0,
            ValueError,
            r"labels of shape \(4, labels\).*\(3, 2\)",
        ),
        ([f64(4, 3, 5), i64(4), i64(4), i64(4)], 0, ValueError, r"labels of shape \(4, labels\), got \(4,\)"),
        ([f64(4, 3, 5), i64(4, 2), i64(3), i64(4)], 0, ValueError, r"input lengths .*\(4,\).*\(3,\)"),
        ([f64(4, 3, 5), i64(4, 2), i64(4), i64(4, 1)], 0, ValueError, r"label lengths .*\(4,\).*\(4, 1\)"),
        ([f64(4, 3, 5), i64(4, 2), i64(4), i64(4)], 5, ValueError, "one of the 5 classes, got 5"),
        ([f64(4, 3, 5), i64(4, 2), i64(4), i64(4)], -1, ValueError, "one of the 5 classes, got -1"),
        ([i64(4, 3, 5), i64(4, 2), i64(4), i64(4)], 0, TypeError, "input 0 must be float32 or float64"),
        ([f64(4, 3, 5), f64(4, 2), i64(4), i64(4)], 0, TypeError, "input 1 must be int64"),
        ([f64(4, 3, 5), i64(4, 2), f32(4), i64(4)], 0, TypeError, "input 2 must be int64"),
        ([f64(4, 3, 5), i64(4, 2), i64(4), f32(4)], 0, TypeError, "input 3 must be int64"),
    ],
)
def test_wrong_arguments_raise_and_name_the_op(
    types: list[Any], blank: int, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^ctc: .*{message}"):
        infer("ctc", *types, blank=blank)
    with pytest.raises(error, match=f"^ctc_gradient: .*{message}"):
        infer("ctc_gradient", *types, f64(4), blank=blank)


def test_a_wrong_seed_is_refused() -> None:
    types = [f64(4, 3, 5), i64(4, 2), i64(4), i64(4)]
    with pytest.raises(ValueError, match=r"^ctc_gradient: seed of shape \(3,\) for scores of \(4, 3, 5\)"):
        infer("ctc_gradient", *types, f64(3), blank=0)
    with pytest.raises(TypeError, match="^ctc_gradient: .*float64 and float32"):
        infer("ctc_gradient", *types, f32(4), blank=0)


def _slopes(scores: Any, *rest: Any) -> np.ndarray:
    return np.asarray(bp.grad(lambda x: ops.sum(ops.ctc(x, *rest)))(scores))
