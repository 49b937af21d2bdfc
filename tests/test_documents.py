"""The README's Python runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.scripts import ROOT, run_script

if TYPE_CHECKING:
    from pathlib import Path


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert blocks
    (tmp_path / "readme.py").write_text("\n".join(blocks), "utf-8")
    assert "'accuracy': " in run_script(tmp_path, tmp_path / "readme.py")
    assert (tmp_path / "model.safetensors").is_file()
