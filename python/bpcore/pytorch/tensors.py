"""The tensors that PyTorch's side gives, as arrays: from a mapping or from a safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bpcore.basics import files

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["read"]

_HINT = "; in PyTorch, safetensors.torch.save_file(model.state_dict(), path) makes one"


def read(who: str, tensors: Any) -> tuple[str, dict[str, Array]]:
    """What errors call the tensors, and the tensors by name; float16 and bfloat16 are widened to float32.

    Raises TypeError for what is neither a mapping of names nor a path, and for what isn't numbers;
    FileNotFoundError, and ValueError for a file that isn't a whole safetensors file.
    """
    if isinstance(tensors, (str, os.PathLike)):
        found, _ = files.read(tensors, _HINT)
        return os.fspath(tensors), {name: _widened(array) for name, array in found.items()}
    if not isinstance(tensors, Mapping) or not all(isinstance(name, str) for name in tensors):
        raise TypeError(
            f"{who}: tensors must be a mapping of names, as a state_dict, or the path of a safetensors file, "
            f"got {type(tensors).__name__}"
        )
    return f"{who}: what was given", {name: _array(who, name, each) for name, each in tensors.items()}


def _array(who: str, name: str, value: Any) -> Array:
    """A tensor of any library as an array; one that needs gradients or lies elsewhere is fetched."""
    for method in ("detach", "cpu"):
        value = getattr(value, method, lambda value=value: value)()
    if str(getattr(value, "dtype", "")) == "torch.bfloat16":  # which has no array
        value = value.float()
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    if array.dtype.kind not in "buif" or array.dtype.itemsize > 8:
        raise TypeError(
            f"{who}: {name} must be a tensor of numbers, got {type(value).__name__} of {array.dtype}"
        )
    return _widened(array)


def _widened(array: Array) -> Array:
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    return array.astype(np.float32) if array.dtype == np.float16 else array
