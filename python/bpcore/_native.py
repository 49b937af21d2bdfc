"""Picks the native core: the widest instruction set that was built and that this CPU and its system run.

The core is built once per instruction set, each a module of its own with the same contents; this is the only
module of the package that imports one of them. Everything else says ``from bpcore._native import core``.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from bpcore import _core as core

__all__ = ["available_isas", "core"]

# Widest first. A native build is a developer's, and wins where there is one.
_ISAS = ("native", "x86-64-v4", "x86-64-v3", "x86-64-v2", "generic")


def _module_name(isa: str) -> str:
    return f"bpcore._core_{isa.replace('-', '_')}"


def _built_isas() -> list[str]:
    return [isa for isa in _ISAS if find_spec(_module_name(isa)) is not None]


def _runs_here(isa: str) -> bool:
    if not isa.startswith("x86-64-v"):
        return True
    from bpcore._cpu import x86_64_level

    return x86_64_level() >= int(isa.removeprefix("x86-64-v"))


def available_isas() -> list[str]:
    """Instruction sets that were built and that this CPU runs, widest first."""
    return [isa for isa in _built_isas() if _runs_here(isa)]


def _choose() -> str:
    available = available_isas()
    forced = os.environ.get("BPCORE_ISA") or None  # set to nothing is not set
    if forced is not None and forced not in available:
        if forced not in _ISAS:
            reason = "is not an instruction set that bpcore knows"
        elif forced not in _built_isas():
            reason = "was not built into this installation"
        else:
            reason = "does not run on this CPU and operating system"
        raise ImportError(f"BPCORE_ISA={forced!r} {reason}; possible here: {', '.join(available) or 'none'}")
    if forced is not None:
        return forced
    if available:
        return available[0]
    built = _built_isas()
    if built:
        raise ImportError(
            f"this CPU and operating system run none of the instruction sets that bpcore was built for "
            f"({', '.join(built)}); build it from source with BPCORE_NATIVE_ONLY=ON"
        )
    raise ImportError(
        f"no compiled core beside {os.path.dirname(__file__)}: this looks like bpcore's source tree, not an "
        "installation; run `pip install .` in its root, or see CONTRIBUTING.md for a development build"
    )


def _load(isa: str) -> ModuleType:
    """Imports the core, with OpenMP's workers told to sleep between native calls instead of waiting actively.

    Active waiting takes the CPUs from whoever else trains on this machine. OpenMP reads its policy once, from
    the environment, and has no call for it; a policy that the user set stays, and other libraries of this
    process that bring their own OpenMP keep theirs.
    """
    chosen = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys()
    if not chosen:
        os.environ["OMP_WAIT_POLICY"] = "passive"
    try:
        loaded = import_module(_module_name(isa))
        loaded.max_threads()  # some OpenMP runtimes read it with their first call
    finally:
        if not chosen:
            del os.environ["OMP_WAIT_POLICY"]
    return loaded


if not TYPE_CHECKING:
    core = _load(_choose())
