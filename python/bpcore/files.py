"""safetensors files: written so that a reader never finds half of one, read so that a damaged one says so."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bpcore.arrays import Array

__all__ = ["read", "write"]


def write(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Writes `tensors` and `metadata` to a new file beside `path`, syncs it to the disk, and renames it."""
    import numpy as np
    from safetensors.numpy import save

    contents = save({name: np.asarray(value, order="C") for name, value in tensors.items()}, dict(metadata))
    target = os.path.abspath(path)
    temporary = f"{target}.{os.getpid()}-{os.urandom(4).hex()}.tmp"
    try:
        with open(temporary, "xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and the metadata of a safetensors file.

    Raises FileNotFoundError, and ValueError if the file is damaged, cut short or of another format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return tensors, dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"{os.fspath(path)} is not a complete safetensors file: {error}") from None
    except TypeError as error:  # a dtype that NumPy doesn't have
        raise ValueError(f"{os.fspath(path)} holds a tensor that NumPy can't: {error}") from None
