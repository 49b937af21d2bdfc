"""What bpcore runs on, and how many threads it may use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import bpcore as bp


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = bp.runtime.threads()
    yield
    bp.runtime.set_threads(before)


@pytest.mark.parametrize("n", [1, 3, 1024, np.int64(2), np.uint8(4)])
def test_the_number_of_threads_is_the_one_that_was_set(n: Any) -> None:
    bp.runtime.set_threads(n)
    assert bp.runtime.threads() == n
    assert type(bp.runtime.threads()) is int


@pytest.mark.parametrize(
    ("n", "error", "message"),
    [
        (0, ValueError, "expected 1 to 1024 threads, got 0"),
        (-1, ValueError, "expected 1 to 1024 threads, got -1"),
        (1025, ValueError, "expected 1 to 1024 threads, got 1025"),
        (10**30, ValueError, "expected 1 to 1024 threads, got 10"),
        (1.0, TypeError, "expected an integer, got float"),
        (True, TypeError, "expected an integer, got bool"),
        (np.True_, TypeError, "expected an integer, got bool"),
        ("2", TypeError, "expected an integer, got str"),
        (None, TypeError, "expected an integer, got NoneType"),
        ([2], TypeError, "expected an integer, got list"),
    ],
)
def test_other_numbers_are_refused_and_change_nothing(n: Any, error: type[Exception], message: str) -> None:
    bp.runtime.set_threads(3)
    with pytest.raises(error, match=f"^set_threads: {message}"):
        bp.runtime.set_threads(n)
    assert bp.runtime.threads() == 3


def test_what_it_runs_on_is_among_what_it_can() -> None:
    assert bp.runtime.isa() in bp.runtime.available_isas()
    assert bp.runtime.device() == "cpu"
