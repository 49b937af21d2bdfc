"""The tensors that PyTorch's side gives, as arrays: from a mapping or from a safetensors file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from bpcore.basics.arrays import Array

__all__ = ["read"]

# safetensors' names of dtypes that NumPy has.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read(who: str, tensors: Any) -> tuple[str, dict[str, Array]]:
    """What errors call the tensors, and the tensors by name; float16 and bfloat16 are widened to float32.

    Raises TypeError for what is neither a mapping of names nor a path, and for what isn't numbers;
    FileNotFoundError, and ValueError for a file that isn't a whole safetensors file.
    """
    if isinstance(tensors, (str, os.PathLike)):
        path = os.fspath(tensors)
        return path, {name: _widened(array) for name, array in _from_file(path).items()}
    if not isinstance(tensors, Mapping) or not all(isinstance(name, str) for name in tensors):
        raise TypeError(
            f"{who}: tensors must be a mapping of names, as a state_dict, or the path of a safetensors file, "
            f"got {type(tensors).__name__}"
        )
    return f"{who}: what was given", {name: _array(who, name, each) for name, each in tensors.items()}


def _from_file(path: str) -> dict[str, Array]:
    from safetensors import SafetensorError, deserialize

    with open(path, "rb") as file:
        contents = file.read()
    try:
        entries = deserialize(contents)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(
            f"{path} is not a complete safetensors file: {error}; in PyTorch, "
            "safetensors.torch.save_file(model.state_dict(), path) makes one"
        ) from None
    return {name: _decoded(path, name, entry) for name, entry in entries}


def _decoded(path: str, name: str, entry: dict[str, Any]) -> Array:
    data, kind = entry["data"], entry["dtype"]
    if kind == "BF16":  # the upper half of a float32
        array: Array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _DTYPES:
        array = np.frombuffer(data, _DTYPES[kind])
    else:
        raise ValueError(f"{path}: {name} is of {kind}, which NumPy does not have")
    shape: list[int] = entry["shape"]
    return array.reshape(shape)


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
