"""Readers of data files: IDX, the format of MNIST and its relatives."""

from __future__ import annotations

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["Mnist", "load_mnist", "read_idx"]

# The third byte of an IDX file; numbers are big-endian.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class Mnist(NamedTuple):
    """Images (n, 28, 28) and labels (n,), both uint8."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The array in an IDX file, gzipped or plain, in the machine's byte order.

    Format: http://yann.lecun.com/exdb/mnist: two zero bytes, a type, a number of axes, their sizes (4 bytes
    each, big-endian), then the elements, row-major.

    Raises FileNotFoundError, and ValueError for a file that is damaged, cut short, too long, or not IDX at
    all.
    """
    name = os.fspath(path)
    raw = Path(path).read_bytes()
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(f"{name}: the gzip file is damaged or cut short: {error}") from None
    if len(raw) < 4 or raw[:2] != b"\x00\x00" or raw[2] not in _TYPES:
        raise ValueError(
            f"{name} is not an IDX file: it begins with the bytes {raw[:4].hex(' ') or '(none)'}"
        )
    dtype, ndim = np.dtype(_TYPES[raw[2]]), raw[3]
    header = 4 + 4 * ndim
    if len(raw) < header:
        raise ValueError(f"{name} is cut short: {len(raw)} bytes, but its header alone has {header}")
    shape = tuple(int(size) for size in np.frombuffer(raw, ">u4", ndim, 4))
    expected = header + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        problem = "is cut short" if len(raw) < expected else "has bytes behind its end"
        raise ValueError(
            f"{name} {problem}: an array of shape {shape} takes {expected} bytes, the file has {len(raw)}"
        )
    array: NDArray[Any] = np.frombuffer(raw, dtype, offset=header).reshape(shape)
    return array.astype(dtype.newbyteorder("="))  # a copy, so that it can be written to


def load_mnist(folder: str | os.PathLike[str]) -> Mnist:
    """The four files of MNIST (or Fashion-MNIST, ...) in `folder`, gzipped or plain, under their usual names.

    Raises FileNotFoundError naming the file that is missing, ValueError for a damaged one (see `read_idx`) or
    for images and labels of different counts.
    """
    parts = []
    for part in ("train", "t10k"):
        images = read_idx(_find(folder, f"{part}-images-idx3-ubyte"))
        labels = read_idx(_find(folder, f"{part}-labels-idx1-ubyte"))
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise ValueError(
                f"{os.fspath(folder)}: {part} images of shape {images.shape} and labels of shape "
                f"{labels.shape} don't belong together"
            )
        parts += [images, labels]
    return Mnist(*parts)


def _find(folder: str | os.PathLike[str], name: str) -> Path:
    for candidate in (Path(folder, name + ".gz"), Path(folder, name)):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{os.fspath(folder)} has neither {name}.gz nor {name}")
