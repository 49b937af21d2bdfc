"""Choosing an instruction set at import, and what the compiled modules look like from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path

import pytest

from bpcore import runtime

KNOWN = ["native", "x86-64-v4", "x86-64-v3", "x86-64-v2", "generic"]


def _module(isa: str) -> str:
    return f"_core_{isa.replace('-', '_')}"


def _is_built(isa: str) -> bool:
    return find_spec(f"bpcore.{_module(isa)}") is not None


def _built_files() -> list[Path]:
    names = ["_cpu", *(_module(isa) for isa in KNOWN if _is_built(isa))]
    specs = [find_spec(f"bpcore.{name}") for name in names]
    return [Path(spec.origin) for spec in specs if spec is not None and spec.origin is not None]


def _import_with(isa: str | None) -> subprocess.CompletedProcess[str]:
    """Imports bpcore in a new process and prints its `isa()`."""
    environment = {name: value for name, value in os.environ.items() if name != "BPCORE_ISA"}
    if isa is not None:
        environment["BPCORE_ISA"] = isa
    return subprocess.run(
        [sys.executable, "-c", "import bpcore; print(bpcore.runtime.isa())"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize("isa", runtime.available_isas())
def test_forced_isa_is_the_one_loaded(isa: str) -> None:
    result = _import_with(isa)
    assert result.stdout.strip() == isa, result.stderr


@pytest.mark.parametrize("isa", [None, ""])
def test_widest_isa_is_loaded_by_default(isa: str | None) -> None:
    result = _import_with(isa)
    assert result.stdout.strip() == runtime.available_isas()[0], result.stderr


def test_this_run_uses_the_isa_it_was_told_to() -> None:
    assert runtime.isa() == (os.environ.get("BPCORE_ISA") or runtime.available_isas()[0])


def test_available_isas_are_known_and_widest_first() -> None:
    available = runtime.available_isas()
    assert available == [isa for isa in KNOWN if isa in available]


@pytest.mark.parametrize(
    ("isa", "reason"),
    [
        ("avx2", "is not an instruction set that bpcore knows"),
        ("X86-64-V3", "is not an instruction set that bpcore knows"),
        *((isa, "was not built into this installation") for isa in KNOWN if not _is_built(isa)),
        *(
            (isa, "does not run on this CPU and operating system")
            for isa in KNOWN
            if _is_built(isa) and isa not in runtime.available_isas()
        ),
    ],
)
def test_impossible_isa_is_an_import_error_that_lists_the_possible_ones(isa: str, reason: str) -> None:
    result = _import_with(isa)
    last_line = result.stderr.strip().splitlines()[-1]
    assert result.returncode != 0
    assert last_line == (
        f"ImportError: BPCORE_ISA={isa!r} {reason}; possible here: {', '.join(runtime.available_isas())}"
    )


def test_isa_that_this_cpu_cannot_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if not _is_built("x86-64-v4"):
        pytest.skip("this build has no module per x86-64 level")
    from bpcore import _cpu, _native

    monkeypatch.setattr(_cpu, "x86_64_level", lambda: 2)
    monkeypatch.setenv("BPCORE_ISA", "x86-64-v4")
    with pytest.raises(ImportError, match=r"does not run on this CPU .*; possible here: x86-64-v2$"):
        _native._choose()


def test_cpu_without_any_built_isa_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    if not _is_built("x86-64-v2") or _is_built("native"):
        pytest.skip("this build has no module per x86-64 level")
    from bpcore import _cpu, _native

    monkeypatch.setattr(_cpu, "x86_64_level", lambda: 1)
    monkeypatch.delenv("BPCORE_ISA", raising=False)
    with pytest.raises(ImportError, match="run none of the instruction sets"):
        _native._choose()


def test_source_tree_without_a_build_says_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "bpcore"
    package.mkdir()
    source = Path(runtime.__file__).with_name("_native.py")
    shutil.copy(source, package)
    (package / "__init__.py").write_text("from bpcore._native import core\n", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", "import bpcore"],
        env={**os.environ, "PYTHONPATH": str(tmp_path), "BPCORE_ISA": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "ImportError: no compiled core" in result.stderr
    assert "pip install ." in result.stderr


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("nm") is None, reason="needs nm")
@pytest.mark.parametrize("path", _built_files(), ids=lambda path: path.name.split(".")[0])
def test_only_the_python_entry_point_is_exported(path: Path) -> None:
    dynamic = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    listing = subprocess.run(["nm", *dynamic, str(path)], capture_output=True, text=True, check=True).stdout
    exported = [line.split()[-1] for line in listing.splitlines() if line.strip()]
    assert [name.lstrip("_") for name in exported] == [f"PyInit_{path.name.split('.')[0]}"]


def test_modules_are_small() -> None:
    files = _built_files()
    assert all(path.name.endswith(tuple(EXTENSION_SUFFIXES)) for path in files)
    if _is_built("native"):
        pytest.skip("a development build keeps its debug information")
    assert sum(path.stat().st_size for path in files) <= 10e6
