"""safetensors files: written so that a reader never finds half of one, read so that a damaged one says so."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bpcore.basics.arrays import Array

__all__ = ["check_writable", "read", "remove_stale", "shift", "write"]

# safetensors' names of dtypes that NumPy has.
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def write(path: str | os.PathLike[str], tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Writes `tensors` and `metadata` to a new file beside `path`, syncs it to the disk, and renames it.

    OSError, saying why, if that can't be.
    """
    import numpy as np
    from safetensors.numpy import save

    target = _target(path)
    contents = save({name: np.asarray(value, order="C") for name, value in tensors.items()}, dict(metadata))
    temporary = _temporary(target)
    try:
        with _about(target), open(temporary, "xb") as file:
            file.write(contents)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _about(target: str) -> Iterator[None]:
    """Around what is done beside `target`: an OSError speaks of that, not of a name nobody has given."""
    try:
        yield
    except OSError as error:
        raise type(error)(error.errno, f"{target} can't be written: {error.strerror}") from None


def _target(path: str | os.PathLike[str]) -> str:
    """The whole path; OSError if it is no ordinary file, or if there is no folder that it could lie in."""
    target = os.path.abspath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, f"{target} is a folder; give the name of a file in it")
    if os.path.exists(target) and not os.path.isfile(target):
        raise FileExistsError(errno.EEXIST, f"{target} is a device, a pipe or a socket, no ordinary file")
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {folder}; make it first")
    return target


def _temporary(target: str) -> str:
    """A name beside `target` that nobody else uses and `remove_stale` knows."""
    return f"{target}.{os.getpid()}-{os.urandom(4).hex()}.tmp"


def check_writable(path: str | os.PathLike[str]) -> None:
    """OSError, saying why, unless a file can be written to `path`."""
    target = _target(path)
    temporary = _temporary(target)
    with _about(target):
        with open(temporary, "xb"):
            pass
        os.unlink(temporary)


def remove_stale(path: str | os.PathLike[str]) -> None:
    """Removes what processes of this machine that don't run any more have left half written beside `path`."""
    target = os.path.abspath(path)
    pattern = re.compile(re.escape(os.path.basename(target)) + r"\.(\d+)-[0-9a-f]{8}\.tmp")
    for name in os.listdir(os.path.dirname(target)):
        found = pattern.fullmatch(name)
        if found and not _runs(int(found[1])):
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(os.path.dirname(target), name))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True  # somebody else's
    return True


def shift(path: str | os.PathLike[str], keep: int) -> None:
    """Before `path` is written anew: keeps what it was as ``path.1``, that as ``path.2``, up to `keep` files.

    At every moment there is a whole file at `path`, if there was one.
    """
    target = os.path.abspath(path)
    if keep < 2 or not os.path.exists(target):
        return
    with contextlib.suppress(FileNotFoundError):
        if os.path.samefile(target, f"{target}.1"):
            return  # a process was killed between this and its write
    for number in range(keep - 1, 1, -1):
        with contextlib.suppress(FileNotFoundError):
            os.replace(f"{target}.{number - 1}", f"{target}.{number}")
    temporary = _temporary(target)
    try:
        os.link(target, temporary)
    except OSError:  # a file system without links
        import shutil  # slow to load, and hardly ever needed

        shutil.copyfile(target, temporary)
    os.replace(temporary, f"{target}.1")


def read(path: str | os.PathLike[str], hint: str = "") -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors and the metadata of a safetensors file; bfloat16, which NumPy lacks, is widened to float32.

    Raises FileNotFoundError, IsADirectoryError, and ValueError if the file is damaged, cut short or of
    another format; `hint` ends that message.
    """
    from safetensors import SafetensorError, deserialize

    name = os.fspath(path)
    if os.path.isdir(path):
        raise IsADirectoryError(errno.EISDIR, f"{name} is a folder; give the name of a file in it")
    with open(path, "rb") as file:
        contents = file.read()
    try:
        entries = deserialize(contents)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"{name} is not a complete safetensors file: {error}{hint}") from None
    tensors = {key: _decoded(name, key, entry) for key, entry in entries}
    header = json.loads(contents[8 : 8 + int.from_bytes(contents[:8], "little")])
    return tensors, header.get("__metadata__", {})


def _decoded(path: str, name: str, entry: dict[str, Any]) -> Array:
    import numpy as np

    data, kind = entry["data"], entry["dtype"]
    if kind == "BF16":  # the upper half of a float32
        array: Array = (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif kind in _DTYPES:
        array = np.frombuffer(data, _DTYPES[kind])
    else:
        raise ValueError(f"{path}: {name} is of {kind}, which NumPy does not have")
    shape: list[int] = entry["shape"]
    return array.reshape(shape)
