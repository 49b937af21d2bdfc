"""The layering rule, read from the sources' includes and imports.

    bindings -> training -> graph, optim
                              |
                             ops        graph/ finds ops by name (find_op in graph/op.h); ops/ makes the list
                              |
                           kernels
                              |
                            core

An arrow may be followed downwards, to any depth, never upwards. What a room may include, and which words
belong to one room alone, stands in the tables below; a new room or a new exception is a line there, to be
argued for in review. In Python only `_native.py` knows the compiled modules; the rooms, the packages and
single modules of python/bpcore/, have an order too: MAY_IMPORT.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
CPP = ROOT / "cpp"
PYTHON = ROOT / "python" / "bpcore"

# room: what its files may include, as folders ("core/") or single headers of a folder ("graph/op.h").
MAY_INCLUDE = {
    "core": ["core/"],
    "kernels": ["kernels/", "core/"],
    "ops": [
        "ops/",
        "kernels/",
        "core/",
        # The interface of an op and what derivatives are written with; not plans, passes or the executor.
        "graph/op.h",
        "graph/tensor_type.h",
        "graph/routine.h",
        "graph/element_loop.h",
        "graph/graph.h",
        "graph/value.h",
        "graph/attributes.h",
        "graph/autodiff.h",
    ],
    "graph": ["graph/", "core/"],
    "optim": ["optim/", "kernels/", "core/"],
    "training": ["training/", "graph/", "optim/", "core/", "kernels/simd.h"],
    "bindings": ["bindings/", "training/", "graph/", "optim/", "core/"],
    "cpu": [],
}

# Python's rooms, from the lowest up: each knows itself and some of those before it. Imports within functions
# count; those for types alone don't, since they aren't there at run time.
MAY_IMPORT = {
    "_native": [],
    "runtime": ["_native"],
    "basics": [],
    "plotting": [],  # its arguments are asked for what they have
    "schedules": ["basics"],
    "optim": ["basics", "schedules"],
    "symbolic": ["_native", "basics", "runtime"],
    "ops": ["basics", "symbolic"],
    "activations": ["basics", "ops", "symbolic"],
    "losses": ["basics", "ops", "symbolic"],
    "metrics": ["basics", "losses", "ops", "symbolic"],
    "decoding": ["basics", "losses"],
    "data": ["basics", "ops", "symbolic"],
    "intake": ["_native", "basics", "losses", "symbolic"],
    "nn": ["_native", "activations", "basics", "ops", "runtime", "symbolic"],
    "watching": ["basics", "ops", "plotting", "symbolic"],
    "callbacks": ["basics", "metrics", "plotting", "watching"],
    "engine": [
        "_native",
        "basics",
        "intake",
        "losses",
        "metrics",
        "nn",
        "ops",
        "optim",
        "runtime",
        "symbolic",
        "watching",
    ],
    "checkpoint": ["basics", "engine", "metrics", "nn", "optim", "watching"],
    "trainer": [
        "basics",
        "callbacks",
        "checkpoint",
        "engine",
        "intake",
        "nn",
        "optim",
        "runtime",
        "symbolic",
        "watching",
    ],
    "pytorch": ["activations", "basics", "nn"],
    "sklearn": [
        "activations",
        "basics",
        "callbacks",
        "engine",
        "losses",
        "nn",
        "ops",
        "optim",
        "trainer",
        "watching",
    ],
}


class Reserved(NamedTuple):
    """Code that only some places may contain."""

    what: str
    pattern: str
    places: list[str]
    instead: str


RESERVED = [
    Reserved(
        "OpenMP",
        r"#\s*pragma\s+omp\b|\bomp_\w+|<omp\.h>|\b_OPENMP\b",
        ["core/parallel.h", "core/parallel.cpp"],
        "split the work by shape and hand it to core/parallel.h",
    ),
    Reserved(
        "Python",
        r"\bpybind11\b|\bPython\.h\b|\bPy[A-Z]\w*\s*\(|\bPyObject\b",
        ["bindings/", "cpu/"],
        "throw the errors of core/error.h and take spans; bindings/ translates both",
    ),
    Reserved(
        "an allocation by hand",
        r"\b(?:malloc|calloc|realloc|aligned_alloc|posix_memalign|alloca)\s*\(|\bnew\b",
        ["core/buffer.h", "core/buffer.cpp", "bindings/"],  # pybind11 takes ownership by pointer
        "take scratch from the plan, or own a Buffer (core/buffer.h) or a std::vector made before the run",
    ),
    Reserved(
        "output or an abort",
        r"\bstd::(?:cout|cerr|clog|abort|exit|terminate)\b|\b(?:printf|fprintf|puts|abort)\s*\(",
        [],
        "throw the errors of core/error.h",
    ),
]

# The compiled modules; python/bpcore/_native.py chooses among them.
COMPILED = re.compile(r"_core(?:_\w+)?|_cpu")


def _without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*|/\*.*?\*/", " ", text, flags=re.DOTALL)


def _without_strings(text: str) -> str:
    return re.sub(r'"(?:[^"\\\n]|\\.)*"', '""', text)


def _is_in(path: str, places: list[str]) -> bool:
    return any(path.startswith(place) if place.endswith("/") else path == place for place in places)


def _include_target(path: str, include: str) -> str:
    """The included header as a path below cpp/; a name without a folder is the includer's neighbour."""
    if "/" in include and not include.startswith("."):
        return include
    parts: list[str] = []
    for part in (PurePosixPath(path).parent / include).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def cpp_violations(path: str, text: str) -> list[str]:
    """What the file at `path` (below cpp/) does that its room may not do, as sentences."""
    room = path.split("/")[0]
    if room not in MAY_INCLUDE:
        return [f"cpp/{path}: cpp/{room}/ is not a room of the design; add it to MAY_INCLUDE in {__name__}"]
    code = _without_comments(text)
    found = []
    for include in re.findall(r'^\s*#\s*include\s*"([^"]+)"', code, flags=re.MULTILINE):
        target = _include_target(path, include)
        if not _is_in(target, MAY_INCLUDE[room]):
            allowed = ", ".join(MAY_INCLUDE[room]) or "nothing of cpp/"
            found.append(f"cpp/{path} includes {target}; cpp/{room}/ may include: {allowed}")
    includes = " ".join(re.findall(r"^\s*#\s*include\s*[<\"][^>\"]+[>\"]", code, flags=re.MULTILINE))
    for rule in RESERVED:
        hit = re.search(rule.pattern, _without_strings(code)) or re.search(rule.pattern, includes)
        if hit and not _is_in(path, rule.places):
            places = ", ".join(f"cpp/{place}" for place in rule.places) or "nowhere"
            found.append(
                f"cpp/{path} contains {rule.what} ({hit[0].strip()!r}), which belongs in: {places}. "
                f"Here: {rule.instead}"
            )
    return found


def _run_time_nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node that is not under `if TYPE_CHECKING:`, where the core's stub gives its classes as types."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING")):
            yield from _run_time_nodes(child)


def python_violations(path: str, text: str) -> list[str]:
    """The compiled modules that the file at `path` (below python/bpcore/) imports or names, as sentences."""
    if path == "_native.py":
        return []
    named = set()
    for node in _run_time_nodes(ast.parse(text)):
        if isinstance(node, ast.Import):
            named |= {part for alias in node.names for part in alias.name.split(".")}
        elif isinstance(node, ast.ImportFrom):
            named |= {*(node.module or "").split("."), *(alias.name for alias in node.names)}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" not in node.value:
            named |= set(node.value.removeprefix("bpcore.").split())  # for importlib
    return [
        f"python/bpcore/{path} names {name}; only _native.py knows the compiled modules. "
        "Here: from bpcore._native import core"
        for name in sorted(named)
        if COMPILED.fullmatch(name)
    ]


def _imported_rooms(text: str) -> Iterator[str]:
    """The rooms of bpcore that a file imports at run time, as often as it does; "bpcore" for all of it."""
    for node in _run_time_nodes(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "bpcore":
            modules = [f"bpcore.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            modules = [node.module]
        else:
            continue
        parts = [module.split(".") for module in modules]
        yield from (part[min(1, len(part) - 1)] for part in parts if part[0] == "bpcore")


def order_violations(path: str, text: str) -> list[str]:
    """The rooms that the file at `path` (below python/bpcore/) imports against the order, as sentences."""
    room = path.split("/")[0].removesuffix(".py")
    if room == "__init__":
        return []
    if room not in MAY_IMPORT:
        return [f"python/bpcore/{room} is not a room of the design; add it to MAY_IMPORT in {__name__}"]
    allowed = ", ".join(MAY_IMPORT[room]) or "nothing of bpcore"
    return [
        f"python/bpcore/{path} imports {found}; {room} may import: {allowed}"
        for found in sorted({*_imported_rooms(text)} - {room, *MAY_IMPORT[room]})
        if not COMPILED.fullmatch(found)  # of which python_violations speaks
    ]


CPP_FILES = sorted(p.relative_to(CPP).as_posix() for p in CPP.rglob("*") if p.suffix in {".h", ".cpp", ".cu"})
PYTHON_FILES = sorted(p.relative_to(PYTHON).as_posix() for p in PYTHON.rglob("*.py"))


@pytest.mark.parametrize("path", CPP_FILES)
def test_cpp_file_knows_only_rooms_below(path: str) -> None:
    assert cpp_violations(path, (CPP / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", PYTHON_FILES)
def test_python_file_knows_no_compiled_module(path: str) -> None:
    assert python_violations(path, (PYTHON / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("path", PYTHON_FILES)
def test_python_file_knows_only_rooms_before_its_own(path: str) -> None:
    assert order_violations(path, (PYTHON / path).read_text(encoding="utf-8")) == []


def test_python_rooms_are_in_an_order() -> None:
    before: set[str] = set()
    for room, known in MAY_IMPORT.items():
        assert before.issuperset(known), room
        before.add(room)


def test_sources_were_found() -> None:
    rooms = {path.split("/")[0] for path in CPP_FILES}
    assert rooms >= {"core", "kernels", "ops", "graph", "optim", "training", "bindings", "cpu"}
    assert "_native.py" in PYTHON_FILES


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("core/shape.h", '#include "graph/op.h"'),
        ("kernels/gemm/gemm.h", '#include "ops/dense.h"'),
        ("kernels/gemm/gemm.h", '#include "../../graph/graph.h"'),
        ("graph/plan.cpp", '#include "ops/op_list.h"'),
        ("graph/plan.cpp", '#include "kernels/gemm/gemm.h"'),
        ("ops/products/dense.cpp", '#include "graph/executor.h"'),
        ("bindings/module.cpp", '#include "kernels/gemm/gemm.h"'),
        ("kernels/gemm/gemm.h", "#pragma omp parallel for"),
        ("graph/executor.cpp", "#include <omp.h>"),
        ("graph/plan.h", "#include <pybind11/pybind11.h>"),
        ("kernels/gemm/gemm.h", "float* a = new float[8];"),
        ("ops/products/dense.cpp", "void* p = std::malloc(8);"),
        ("graph/graph.cpp", 'std::printf("%d", 1);'),
        ("elsewhere/x.cpp", ""),
    ],
)
def test_cpp_check_finds(path: str, text: str) -> None:
    assert len(cpp_violations(path, text)) == 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kernels/gemm/gemm.h", '#include "core/shape.h"\n#include "simd.h"'),
        ("ops/products/dense.cpp", '#include "graph/op.h"\n#include "kernels/gemm/gemm.h"'),
        ("graph/plan.cpp", '// a new plan needs no malloc( and no "ops/x.h"\nthrow ValueError("new plan");'),
        ("core/buffer.cpp", "data_ = std::aligned_alloc(64, bytes);"),
    ],
)
def test_cpp_check_passes(path: str, text: str) -> None:
    assert cpp_violations(path, text) == []


@pytest.mark.parametrize(
    "text",
    ["from bpcore import _core_native", "import bpcore._core", 'import_module("bpcore._core_x86_64_v3")'],
)
def test_python_check_finds(text: str) -> None:
    assert len(python_violations("nn/dense.py", text)) == 1
    assert python_violations("_native.py", text) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nn/dense.py", "from bpcore.trainer.checks import order_is_free"),
        ("nn/dense.py", "from bpcore import optim"),
        ("nn/dense.py", "def call():\n    import bpcore.engine.task"),
        ("basics/tree.py", "import bpcore"),
        ("elsewhere.py", ""),
    ],
)
def test_order_check_finds(path: str, text: str) -> None:
    assert len(order_violations(path, text)) == 1


def test_order_check_passes_own_room_rooms_before_and_types() -> None:
    text = (
        "import numpy\nfrom bpcore import nn, ops\nfrom bpcore.basics.settings import count\n"
        "if TYPE_CHECKING:\n    from bpcore.trainer import Trainer"
    )
    assert order_violations("nn/dense.py", text) == []


def test_python_check_passes_types() -> None:
    text = "from bpcore._native import core\nif TYPE_CHECKING:\n    from bpcore._core import Graph"
    assert python_violations("symbolic/tracing.py", text) == []
