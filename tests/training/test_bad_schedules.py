"""Bad arguments of schedules are refused when a schedule is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from bpcore import optim, schedules
from bpcore.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclic,
    Exponential,
    InverseSqrt,
    Lambda,
    Linear,
    MultiStep,
    OneCycle,
    Piecewise,
    Polynomial,
    Product,
    Sequential,
    Step,
    Warmup,
)

NAN, INF = float("nan"), float("inf")

# A schedule with a given rate, everything else being in order.
WITH_RATE: list[Callable[[Any], schedules.Schedule]] = [
    lambda lr: Constant(lr),
    lambda lr: Step(lr, 10),
    lambda lr: MultiStep(lr, [3]),
    lambda lr: Exponential(lr, 0.9),
    lambda lr: Linear(lr, 10),
    lambda lr: Polynomial(lr, 10),
    lambda lr: InverseSqrt(lr, 10),
    lambda lr: Cosine(lr, 10),
    lambda lr: CosineRestarts(lr, 10),
    lambda lr: OneCycle(lr, 10),
    lambda lr: Cyclic(lr, base_lr=0),
    lambda lr: Lambda(lr, abs),
]


@pytest.mark.parametrize("make", WITH_RATE)
def test_wrong_rates(make: Callable[[Any], schedules.Schedule]) -> None:
    for lr in (-0.1, NAN, INF, -INF):
        with pytest.raises(ValueError, match="lr must be finite and at least 0, got "):
            make(lr)
    for lr in (None, "0.1", True, [0.1], 1j):
        with pytest.raises(TypeError, match="lr must be a number, got "):
            make(lr)
    assert make(0)(5) == 0
    assert make(np.float32(0.5))(3) == make(0.5)(3)


@pytest.mark.parametrize(
    ("make", "error", "fragment"),
    [
        (lambda: Step(0.1, 0), ValueError, "Step: step_size must be at least 1, got 0"),
        (lambda: Step(0.1, 2.0), TypeError, "Step: step_size must be an integer, got 2.0"),  # type: ignore[arg-type]
        (lambda: Step(0.1, True), TypeError, "Step: step_size must be an integer, got True"),
        (lambda: Step(0.1, 5, 0), ValueError, "Step: gamma must be finite and above 0, got 0"),
        (lambda: Step(0.1, 5, -0.5), ValueError, "Step: gamma must be finite and above 0, got -0.5"),
        (lambda: Step(0.1, 5, NAN), ValueError, "Step: gamma must be finite and above 0, got nan"),
        (lambda: MultiStep(0.1, [5, 5]), ValueError, "milestones must increase, got [5, 5]"),
        (lambda: MultiStep(0.1, [5, 3]), ValueError, "milestones must increase, got [5, 3]"),
        (lambda: MultiStep(0.1, [0, 3]), ValueError, "milestones[0] must be at least 1, got 0"),
        (lambda: MultiStep(0.1, [1, 2.5]), TypeError, "milestones[1] must be an integer, got 2.5"),  # type: ignore[list-item]
        (lambda: MultiStep(0.1, 5), TypeError, "milestones must be a list of steps, got 5"),  # type: ignore[arg-type]
        (lambda: MultiStep(0.1, [5], 0), ValueError, "MultiStep: gamma must be finite and above 0"),
        (lambda: Piecewise([5], [0.1]), ValueError, "one rate more than boundaries, got 1 for 1"),
        (lambda: Piecewise([5, 4], [1, 2, 3]), ValueError, "boundaries must increase, got [5, 4]"),
        (lambda: Piecewise([5], [0.1, -0.1]), ValueError, "rates[1] must be finite and at least 0, got -0.1"),
        (lambda: Piecewise([5], [NAN, 0.1]), ValueError, "rates[0] must be finite and at least 0, got nan"),
        (lambda: Piecewise([], 0.1), TypeError, "rates must be a list of numbers, got 0.1"),  # type: ignore[arg-type]
        (lambda: Exponential(0.1, 0), ValueError, "Exponential: gamma must be finite and above 0, got 0"),
        (lambda: Exponential(0.1, INF), ValueError, "Exponential: gamma must be finite and above 0"),
        (lambda: Linear(0.1, 0), ValueError, "Linear: steps must be at least 1, got 0"),
        (lambda: Linear(0.1, -5), ValueError, "Linear: steps must be at least 1, got -5"),
        (lambda: Linear(0.1, 5, -0.1), ValueError, "start_factor must be in [0, 1], got -0.1"),
        (lambda: Linear(0.1, 5, 1.5), ValueError, "start_factor must be in [0, 1], got 1.5"),
        (lambda: Linear(0.1, 5, 0.5, NAN), ValueError, "end_factor must be in [0, 1], got nan"),
        (lambda: Polynomial(0.1, 0), ValueError, "Polynomial: steps must be at least 1"),
        (lambda: Polynomial(0.1, 5, 0), ValueError, "power must be finite and above 0, got 0"),
        (lambda: InverseSqrt(0.1, 0), ValueError, "warmup_steps must be at least 1, got 0"),
        (lambda: InverseSqrt(0.1, 5, 2), ValueError, "start_factor must be in [0, 1], got 2"),
        (lambda: Cosine(0.1, 0), ValueError, "Cosine: steps must be at least 1, got 0"),
        (lambda: Cosine(0.1, 5, 0.2), ValueError, "eta_min must be in [0, 0.1], got 0.2"),
        (lambda: Cosine(0.1, 5, -0.1), ValueError, "eta_min must be in [0, 0.1], got -0.1"),
        (lambda: CosineRestarts(0.1, 0), ValueError, "T_0 must be at least 1, got 0"),
        (lambda: CosineRestarts(0.1, 5, 0), ValueError, "T_mult must be at least 1, got 0"),
        (lambda: CosineRestarts(0.1, 5, 1.5), TypeError, "T_mult must be an integer, got 1.5"),  # type: ignore[arg-type]
        (lambda: CosineRestarts(0.1, 5, 2, 0.2), ValueError, "eta_min must be in [0, 0.1], got 0.2"),
        (lambda: OneCycle(0.1, 0), ValueError, "total_steps must be at least 1, got 0"),
        (lambda: OneCycle(0.1, 9, pct_start=1.1), ValueError, "pct_start must be in [0, 1], got 1.1"),
        (lambda: OneCycle(0.1, 9, pct_start=-0.1), ValueError, "pct_start must be in [0, 1], got -0.1"),
        (
            lambda: OneCycle(0.1, 9, pct_start=0.6, three_phase=True),
            ValueError,
            "pct_start must be in [0, 0.5], got 0.6",
        ),
        (lambda: OneCycle(0.1, 9, anneal_strategy="cosine"), ValueError, 'must be "cos" or "linear"'),  # type: ignore[arg-type]
        (lambda: OneCycle(0.1, 9, div_factor=0), ValueError, "div_factor must be finite and above 0"),
        (
            lambda: OneCycle(0.1, 9, final_div_factor=-1),
            ValueError,
            "final_div_factor must be finite and above",
        ),
        (lambda: Cyclic(0.1, base_lr=0.2), ValueError, "base_lr must be in [0, 0.1], got 0.2"),
        (lambda: Cyclic(0.1, base_lr=-0.1), ValueError, "base_lr must be in [0, 0.1], got -0.1"),
        (
            lambda: Cyclic(0.1, base_lr=0, step_size_up=0),
            ValueError,
            "step_size_up must be at least 1, got 0",
        ),
        (
            lambda: Cyclic(0.1, base_lr=0, step_size_up=5, step_size_down=0),
            ValueError,
            "step_size_down must be at least 1, got 0",
        ),
        (
            lambda: Cyclic(0.1, base_lr=0, mode="up"),
            ValueError,
            '"triangular", "triangular2" or "exp_range", got',
        ),  # type: ignore[arg-type]
        (lambda: Cyclic(0.1, base_lr=0, gamma=0), ValueError, "Cyclic: gamma must be finite and above 0"),
        (lambda: Lambda(0.1, 0.5), TypeError, "lr_lambda must be a function, got 0.5"),  # type: ignore[arg-type]
        (lambda: Warmup(0.1, 0), ValueError, "Warmup: steps must be at least 1, got 0"),
        (lambda: Warmup(0.1, 5, -1), ValueError, "Warmup: start_factor must be in [0, 1], got -1"),
        (lambda: Warmup(-0.1, 5), ValueError, "Warmup: schedule must be finite and at least 0, got -0.1"),
        (
            lambda: Warmup(Cosine, 5),
            TypeError,
            "schedule must be a schedule, a number or a function, got <class",
        ),
        (lambda: Warmup(None, 5), TypeError, "schedule must be a schedule, a number or a function, got None"),  # type: ignore[arg-type]
        (lambda: Warmup(True, 5), TypeError, "schedule must be a schedule, a number or a function, got True"),
        (lambda: Sequential([], []), ValueError, "Sequential: expected at least one schedule"),
        (lambda: Sequential(0.1, []), TypeError, "Sequential: schedules must be a list, got 0.1"),  # type: ignore[arg-type]
        (lambda: Sequential([0.1, 0.2], []), ValueError, "one milestone less than schedules, got 0 for 2"),
        (lambda: Sequential([0.1, 0.2, 0.3], [5, 5]), ValueError, "milestones must increase, got [5, 5]"),
        (lambda: Sequential([0.1, "x"], [5]), TypeError, "schedules[1] must be a schedule, a number or a"),  # type: ignore[list-item]
        (lambda: Product([]), ValueError, "Product: expected at least one schedule"),
        (lambda: Product([0.1, NAN]), ValueError, "schedules[1] must be finite and at least 0, got nan"),
        (
            lambda: optim.Adam(schedules.Schedule()),
            TypeError,
            "Adam: lr must be a schedule that defines values",
        ),
        (lambda: Warmup(schedules.Schedule(), 5)(9), NotImplementedError, "Schedule must define values"),
        (lambda: optim.Adam(lr=Cosine), TypeError, "Adam: lr must be an object: Cosine(...)"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked(make: Callable[[], Any], error: type[Exception], fragment: str) -> None:
    with pytest.raises(error) as caught:
        make()
    assert fragment in str(caught.value)


@pytest.mark.parametrize("schedule", [Cosine(0.1, 5), Warmup(0.1, 5), Sequential([0.1], []), Lambda(1, abs)])
def test_wrong_steps(schedule: schedules.Schedule) -> None:
    with pytest.raises(ValueError, match="values: first must be at least 0, got -1"):
        schedule(-1)
    with pytest.raises(ValueError, match="values: count must be at least 0, got -1"):
        schedule.values(0, -1)
    for step in (1.5, True, "1", None):
        with pytest.raises(TypeError, match="values: first must be an integer"):
            schedule(step)  # type: ignore[arg-type]


def test_a_schedule_stays_as_it_was_made() -> None:
    milestones = [3, 5]
    schedule = MultiStep(0.1, milestones)
    before = schedule.values(0, 9).tobytes()
    milestones[0] = 1
    with pytest.raises(FrozenInstanceError):
        schedule.lr = -1  # type: ignore[misc]
    assert schedule.values(0, 9).tobytes() == before


def test_an_unknown_name_says_which_are_known() -> None:
    with pytest.raises(ValueError, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        schedules.from_config({"name": "cosin", "lr": 0.1, "steps": 5})


@pytest.mark.parametrize("value", [None, "fast", [0.1, 0.2]])
def test_a_function_that_gives_no_number_is_named(value: Any) -> None:
    def decay(step: int) -> Any:
        return 0.1 if step < 2 else value

    with pytest.raises(
        TypeError, match="the learning rate's function .*decay gave .* for step 2, not a number"
    ):
        Warmup(decay, 3).values(0, 9)
