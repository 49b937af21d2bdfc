"""The smoke test runs before all others: if it fails, theirs say little."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.parent != FOLDER)  # a stable sort: the others stay in order
