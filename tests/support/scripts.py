"""Scripts: what they print when they run, and what they say without running, since some import PyTorch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.training.problems import child_environment

__all__ = ["ROOT", "constant", "run_script"]

ROOT = Path(__file__).resolve().parents[2]  # of the repository


def run_script(folder: Path, script: Path, *arguments: str | Path, fails: bool = False) -> str:
    """What `script` prints in a fresh Python in `folder`; if it `fails`, as it then must, its complaint."""
    done = subprocess.run(
        [sys.executable, *map(str, (script, *arguments))],
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr
    return done.stderr if fails else done.stdout


def constant(script: Path, name: str) -> Any:
    """The value of the constant `name`, written out literally at the top level of `script`."""
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == name:
                return ast.literal_eval(node.value)
    raise AssertionError(f"{script.name} has no constant {name}")
