"""Schedules: their formulas, the same bits one by one and together, what training makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import callbacks, optim, schedules
from tests.training.problems import bits, blobs, network
from tests.training.schedule_cases import EVERY, fit

NAN, INF = float("nan"), float("inf")


# Formulas that PyTorch doesn't have


@pytest.mark.parametrize(("warmup", "start"), [(1, 0.0), (40, 0.0), (400, 0.25)])
def test_inverse_sqrt(warmup: int, start: float) -> None:
    schedule = schedules.InverseSqrt(0.02, warmup, start)
    for step in range(700):
        line = start * 0.02 + (0.02 - start * 0.02) * step / warmup
        expected = line if step < warmup else 0.02 * warmup**0.5 * step**-0.5
        assert schedule(step) == pytest.approx(expected, rel=1e-14, abs=0), step


def test_inverse_sqrt_is_the_transformers_one_update_later() -> None:
    """Vaswani et al.: width^-0.5 · min(n^-0.5, n · warmup^-1.5), n from 1."""
    width, warmup = 512, 400
    rates = schedules.InverseSqrt((width * warmup) ** -0.5, warmup).values(0, 1001)
    n = np.arange(1, 1001)
    np.testing.assert_allclose(rates[1:], width**-0.5 * np.minimum(n**-0.5, n * warmup**-1.5), rtol=1e-13)
    assert rates[0] == 0


def test_piecewise() -> None:
    rates = schedules.Piecewise([3, 5, 6], [0.1, 0.5, 0.0, 0.2]).values(0, 9)
    assert rates.tolist() == [0.1, 0.1, 0.1, 0.5, 0.5, 0.0, 0.2, 0.2, 0.2]
    assert schedules.Piecewise([], [0.1])(1000) == 0.1


def test_after_its_end_a_schedule_stays_there() -> None:
    for schedule, end, last in (
        (schedules.Cosine(0.3, 100, 0.01), 100, 0.01),
        (schedules.OneCycle(0.3, 100), 99, 0.3 / 25 / 1e4),
        (schedules.OneCycle(0.3, 100, anneal_strategy="linear", three_phase=True), 99, 0.3 / 25 / 1e4),
        (schedules.Polynomial(0.3, 100, 0.5), 100, 0.0),
        (schedules.Linear(0.3, 100, 1.0, 0.5), 100, 0.15),
    ):
        rates = schedule.values(0, 1000)
        assert (rates[end:] == last).all(), schedule
        assert rates[end - 1] > last
        assert schedule(10**12) == last


def test_peaks_and_starts_are_exact() -> None:
    assert schedules.Cosine(0.3, 7, 0.001)(0) == 0.3
    assert schedules.CosineRestarts(0.3, 5, 2, 0.001).values(0, 16)[[0, 5, 15]].tolist() == [0.3] * 3
    assert schedules.OneCycle(0.3, 100, pct_start=0.3).values(0, 100).max() == 0.3
    assert schedules.OneCycle(0.3, 100, pct_start=0.3)(29) == 0.3
    assert schedules.InverseSqrt(0.3, 77)(77) == 0.3
    assert schedules.Warmup(0.3, 77)(77) == 0.3


def test_one_cycle_where_a_phase_has_no_length() -> None:
    """PyTorch divides by zero here."""
    assert schedules.OneCycle(0.3, 10, pct_start=0.1).values(0, 10)[[0, 9]].tolist() == [0.3, 0.3 / 25 / 1e4]
    assert np.isfinite(schedules.OneCycle(0.3, 1, pct_start=1.0).values(0, 3)).all()
    assert schedules.OneCycle(0.3, 1)(0) == 0.3 / 25 / 1e4


def test_lambda_gives_whole_steps_as_ints_and_in_order() -> None:
    seen: list[int] = []

    def note(step: int) -> float:
        seen.append(step)
        return step / 8

    assert schedules.Lambda(0.5, note).values(3, 4).tolist() == [3 / 16, 4 / 16, 5 / 16, 6 / 16]
    assert seen == [3, 4, 5, 6]
    assert all(type(step) is int for step in seen)


def test_parts_of_a_composition_count_from_their_own_beginning() -> None:
    count = schedules.Lambda(1, lambda step: float(step))
    assert schedules.Sequential([count, count, 7], [3, 5]).values(0, 7).tolist() == [0, 1, 2, 0, 1, 7, 7]
    assert schedules.Warmup(schedules.Lambda(1, lambda step: 4.0 + step), 4).values(2, 5).tolist() == [
        2, 3, 4, 5, 6
    ]  # fmt: skip
    assert schedules.Product([count, count, 2]).values(1, 3).tolist() == [2, 8, 18]


# Bits


@pytest.mark.parametrize("name", EVERY)
def test_values_are_the_calls_to_the_bit_however_they_are_cut(name: str) -> None:
    schedule = EVERY[name]
    whole = schedule.values(0, 400)
    assert whole.dtype == np.float64
    assert whole.shape == (400,)
    assert ((whole >= 0) & (whole <= 0.03)).all() or name == "nested"
    assert len(np.unique(whole)) > 1 or name == "constant"
    assert np.array([schedule(step) for step in range(400)]).tobytes() == whole.tobytes()
    for first, count in (
        (0, 1),
        (1, 63),
        (63, 2),
        (64, 64),
        (7, 200),
        (129, 271),
        (28, 10),
        (399, 1),
        (5, 0),
        (0, 0),
    ):
        assert schedule.values(first, count).tobytes() == whole[first : first + count].tobytes()
    assert type(schedule(np.int64(3))) is float
    assert schedule(np.int64(3)) == whole[3]


class EveryFew(callbacks.Callback):
    def __init__(self, steps: int) -> None:
        self.every_steps = steps


@pytest.mark.parametrize("name", EVERY)
def test_training_has_the_same_bits_however_it_is_cut(name: str) -> None:
    """Into native calls of 1, 7 or as many steps as there is time for; and as a plain function."""
    schedule = EVERY[name]
    expected = bits(fit(schedule))
    assert bits(fit(schedule, EveryFew(1))) == expected
    assert bits(fit(schedule, EveryFew(7))) == expected
    assert bits(fit(lambda step: schedule(step))) == expected
    assert bits(fit(0.011)) != expected


def test_steps_count_on_over_calls_offit() -> None:
    schedule = schedules.Cosine(0.1, 50)
    twice = fit(schedule, epochs=2)
    x, y = blobs(60)
    twice.fit(x, y, epochs=2, batch_size=4, progress=False)
    assert bits(twice) == bits(fit(schedule))


def test_a_schedule_is_asked_for_many_steps_at_once() -> None:
    class Counting(schedules.Schedule):
        calls = 0

        def values(self, first: int, count: int) -> np.ndarray:  # noqa: ARG002
            self.calls += 1
            return np.full(count, 0.01)

    schedule, trainer = Counting(), bp.Trainer(network(3), "cross_entropy")
    trainer.optimizer.lr = schedule
    trainer.fit(*blobs(2000), epochs=1, batch_size=1, progress=False)
    assert 0 < schedule.calls < 200


# The optimizer


@pytest.mark.parametrize("lr", [0.5, schedules.Exponential(0.5, 0.5), lambda step: 0.5 ** (step + 1)])
def test_scale_multiplies_every_kind_of_rate(lr: Any) -> None:
    optimizer = optim.SGD(lr)
    rates = optimizer.rates(3, 5)
    assert optimizer.scale == 1
    optimizer.scale = 0.25
    np.testing.assert_array_equal(optimizer.rates(3, 5), rates / 4)
    optimizer.lr = 0.125
    assert optimizer.scale == 1
    assert optimizer.rates(0, 2).tolist() == [0.125, 0.125]


@pytest.mark.parametrize(
    ("scale", "error"), [(-1, ValueError), (NAN, ValueError), (INF, ValueError), ("1", TypeError)]
)
def test_a_wrong_scale_raises_when_it_is_set(scale: Any, error: type[Exception]) -> None:
    optimizer = optim.Adam(0.1)
    with pytest.raises(error, match="Adam: scale must be"):
        optimizer.scale = scale
    assert optimizer.scale == 1


def test_a_rate_that_grows_beyond_all_numbers_is_refused() -> None:
    optimizer = optim.SGD(schedules.Exponential(1.0, 10.0))
    assert optimizer.rates(300, 2).tolist() == pytest.approx([1e300, 1e301])
    with pytest.raises(ValueError, match=r"Exponential\(lr=1.0, gamma=10.0\) gave inf for step 309"):
        optimizer.rates(300, 20)
    huge = optim.SGD(1e300)
    huge.scale = 1e10
    with pytest.raises(ValueError, match=r"the learning rate 1e\+300 times 10000000000.0 is infinite"):
        huge.rates(4, 1)


def test_repr_shows_the_schedule() -> None:
    optimizer = optim.SGD(schedules.Cosine(0.1, 50), momentum=0.9)
    assert repr(optimizer) == ("SGD(lr=Cosine(lr=0.1, steps=50, eta_min=0.0, periodic=False), momentum=0.9)")
