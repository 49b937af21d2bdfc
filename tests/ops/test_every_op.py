"""No op of the core goes unchecked."""

from __future__ import annotations

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from bpcore._native import core


def _ops_in_tables() -> set[str]:
    """The ops of the tables CASES beside this file; `check_op` sees that each case really makes its op."""
    found: set[str] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        if path != Path(__file__):
            spec = spec_from_file_location(f"tables_of_{path.stem}", path)
            assert spec is not None
            assert spec.loader is not None
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            found |= {case.op for case in getattr(module, "CASES", [])}
    return found


def test_every_op_of_the_core_is_in_a_table() -> None:
    assert set(core.op_names()) - _ops_in_tables() == set()
