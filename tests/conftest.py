"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: `BPCORE_DATA`, else shared/data beside the repository; skips without."""
    repository = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("BPCORE_DATA") or repository.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no data sets in {folder} (BPCORE_DATA names another place)")
    return folder
