"""What a script says, without running it: those that make golden files import PyTorch."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def constant(script: Path, name: str) -> Any:
    """The value of the constant `name`, written out literally at the top level of `script`."""
    for node in ast.parse(script.read_text()).body:
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if ast.unparse(target) == name:
                return ast.literal_eval(node.value)
    raise AssertionError(f"{script.name} has no constant {name}")
