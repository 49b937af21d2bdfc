"""Whether a sanitizer watches this process, which has a malloc, and memory, of its own."""

from __future__ import annotations

from pathlib import Path

__all__ = ["sanitized"]


def sanitized() -> bool:
    """Whether AddressSanitizer has been loaded."""
    maps = Path("/proc/self/maps")
    return maps.exists() and "libasan" in maps.read_text()
