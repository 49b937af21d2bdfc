"""After warm-up, steps allocate nothing, and memory does not grow. Every malloc of the process is counted."""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bpcore._native import core
from tests.support.sanitizers import sanitized
from tests.training.problems import child_environment

HERE = Path(__file__).parent
MiB = 2**20


pytestmark = [
    pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="counts through glibc's names"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler"),
    pytest.mark.skipif(sanitized(), reason="the sanitizer has its own malloc"),
]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What allocations_child.py found."""
    library = tmp_path_factory.mktemp("counter") / "count_allocations.so"
    source = HERE / "count_allocations.c"
    command = ["cc", "-O1", "-std=c11", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    result = subprocess.run(
        [sys.executable, str(HERE / "allocations_child.py"), str(library)],
        env=child_environment(LD_PRELOAD=str(library)),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_counter_sees_what_the_core_allocates(counts: dict[str, Any]) -> None:
    assert counts["control: ten calls of a module"] >= 10
    assert counts["control: a store"] >= 1


def test_a_thousand_more_steps_allocate_nothing_more(counts: dict[str, Any]) -> None:
    assert len(counts["steps"]) == 12
    for case, found in counts["steps"].items():
        assert found["many"] == found["one"], case


def test_two_threads_were_really_used(counts: dict[str, Any]) -> None:
    for case, found in counts["steps"].items():
        expected = 2 if case.startswith("2") and core.openmp() else 1
        assert found["threads"] == expected, case


def test_memory_does_not_grow_over_a_hundred_thousand_steps(counts: dict[str, Any]) -> None:
    """A leak of the least that malloc can give, 32 bytes a step, would be 3 MiB."""
    assert counts["steps of fit"] == 100_000
    assert counts["growth of fit"] < MiB


def test_memory_does_not_grow_over_many_small_calls(counts: dict[str, Any]) -> None:
    """32 bytes a call would be 0.6 MiB."""
    assert counts["growth of step"] < MiB / 2
    assert counts["growth of predict"] < MiB / 2
