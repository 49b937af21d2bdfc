"""The Python in the documents runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.support.scripts import ROOT, run_script

if TYPE_CHECKING:
    from pathlib import Path


def run_blocks(page: Path, folder: Path) -> str:
    """What the Python of a page prints, run from top to bottom in `folder`."""
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert blocks
    script = folder / page.with_suffix(".py").name
    script.write_text("\n".join(blocks), "utf-8")
    return run_script(folder, script)


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path: Path) -> None:
    assert "'accuracy': " in run_blocks(ROOT / "README.md", tmp_path)
    assert (tmp_path / "model.safetensors").is_file()


def test_the_page_on_training_runs_and_holds_what_it_asserts(tmp_path: Path) -> None:
    assert "root mean square of the errors" in run_blocks(ROOT / "docs" / "training.md", tmp_path)


def test_the_page_on_pytorch_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    printed = run_blocks(ROOT / "docs" / "pytorch.md", tmp_path)
    assert "(3, 3, 3, 16) (16,)" in printed
    assert "'bn.running_mean'" in printed
