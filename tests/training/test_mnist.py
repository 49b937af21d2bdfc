"""bpcore.data on files, whole and damaged, and a network trained on real handwritten digits."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import bpcore as bp
from bpcore import data, optim
from tests.training.problems import network


def _idx(array: np.ndarray, code: int = 0x08) -> bytes:
    """An IDX file's bytes; `array` in the byte order of the file, big-endian."""
    return bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("code", "kind"),
    [(0x08, ">u1"), (0x09, ">i1"), (0x0B, ">i2"), (0x0C, ">i4"), (0x0D, ">f4"), (0x0E, ">f8")],
)
def test_every_type_of_idx_file(tmp_path: Path, code: int, kind: str, pack: Callable[[bytes], bytes]) -> None:
    expected = (np.arange(24).reshape(2, 3, 4) - 5 * (kind != ">u1")).astype(kind)
    (tmp_path / "file").write_bytes(pack(_idx(expected, code)))
    found = data.read_idx(tmp_path / "file")
    assert found.dtype == expected.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, expected)
    assert found.flags.writeable


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (5,), (1, 1, 1, 1)])
def test_arrays_of_other_shapes(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "file").write_bytes(_idx(np.ones(shape, np.uint8)))
    assert data.read_idx(str(tmp_path / "file")).shape == shape


WHOLE = _idx(IMAGES)
ZIPPED = gzip.compress(WHOLE)


@pytest.mark.parametrize(
    ("contents", "fragment"),
    [
        (b"", "is not an IDX file: it begins with the bytes (none)"),
        (b"\x00\x00", "is not an IDX file"),
        (b"PK\x03\x04 a zip file", "is not an IDX file: it begins with the bytes 50 4b 03 04"),
        (b"<!DOCTYPE html>", "is not an IDX file"),
        (b"\x00\x01" + WHOLE[2:], "is not an IDX file"),
        (b"\x00\x00\x07" + WHOLE[3:], "is not an IDX file"),
        (WHOLE[:9], "is cut short: 9 bytes, but its header alone has 16"),
        (WHOLE[:16], "is cut short: an array of shape (2, 3, 4) takes 40 bytes, the file has 16"),
        (WHOLE[:-1], "is cut short"),
        (WHOLE + b"\x00", "has bytes behind its end"),
        (
            WHOLE[:4] + struct.pack(">3I", 3, 3, 4) + WHOLE[16:],
            "shape (3, 3, 4) takes 52 bytes, the file has 40",
        ),
        (WHOLE[:4] + struct.pack(">3I", 1, 3, 4) + WHOLE[16:], "has bytes behind its end"),
        (WHOLE[:4] + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1) + WHOLE[16:], "is cut short"),
        (ZIPPED[:-1], "the gzip file is damaged or cut short"),
        (ZIPPED[:-9], "the gzip file is damaged or cut short"),
        (ZIPPED[:12], "the gzip file is damaged or cut short"),
        (ZIPPED[:2], "the gzip file is damaged or cut short"),
        (ZIPPED[:-8] + bytes(8), "the gzip file is damaged or cut short"),
        (ZIPPED[:14] + b"\xff\xff\xff" + ZIPPED[17:], "the gzip file is damaged or cut short"),
        (gzip.compress(b"hello, this is text"), "is not an IDX file"),
        (gzip.compress(WHOLE[:-5]), "is cut short"),
    ],
)
def test_a_damaged_idx_file_is_named_with_its_damage(tmp_path: Path, contents: bytes, fragment: str) -> None:
    path = tmp_path / "images-idx3-ubyte.gz"
    path.write_bytes(contents)
    with pytest.raises(ValueError, match="images-idx3-ubyte.gz") as caught:
        data.read_idx(path)
    assert fragment in str(caught.value)


def test_a_missing_idx_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        data.read_idx(tmp_path / "none")


def _write_mnist(folder: Path, pack: Callable[[bytes], bytes], ending: str, test_labels: int = 3) -> None:
    for part, count, labels in (("train", 5, 5), ("t10k", 3, test_labels)):
        images = np.full((count, 28, 28), count, np.uint8)
        (folder / f"{part}-images-idx3-ubyte{ending}").write_bytes(pack(_idx(images)))
        (folder / f"{part}-labels-idx1-ubyte{ending}").write_bytes(
            pack(_idx(np.arange(labels, dtype=np.uint8)))
        )


@pytest.mark.parametrize(("pack", "ending"), [(gzip.compress, ".gz"), (bytes, "")])
def test_load_mnist_finds_its_four_files(tmp_path: Path, pack: Callable[[bytes], bytes], ending: str) -> None:
    _write_mnist(tmp_path, pack, ending)
    mnist = data.load_mnist(tmp_path)
    assert [part.shape for part in mnist] == [(5, 28, 28), (5,), (3, 28, 28), (3,)]
    assert all(part.dtype == np.uint8 for part in mnist)
    assert mnist.test_images[0, 0, 0] == 3
    assert mnist.train_labels.tolist() == [0, 1, 2, 3, 4]


def test_load_mnist_says_what_is_missing_and_what_does_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"has neither train-images-idx3-ubyte.gz nor train-images-idx3-ubyte"
    ):
        data.load_mnist(tmp_path)
    _write_mnist(tmp_path, gzip.compress, ".gz", test_labels=4)
    with pytest.raises(ValueError, match=r"t10k images of shape \(3, 28, 28\).*labels of shape \(4,\)"):
        data.load_mnist(tmp_path)


@pytest.mark.slow
def test_two_epochs_of_real_digits_reach_94_percent(data_dir: Path) -> None:
    """784-512-256-10 on the first 20,000 images, checked on 2,000 unseen ones."""
    if not (data_dir / "mnist").is_dir():
        pytest.skip(f"no mnist in {data_dir}")
    mnist = data.load_mnist(data_dir / "mnist")
    assert mnist.train_images.shape == (60_000, 28, 28)
    assert mnist.test_images.shape == (10_000, 28, 28)
    assert np.bincount(mnist.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]

    x = mnist.train_images[:20_000].reshape(-1, 784) / np.float32(255)
    trainer = bp.Trainer(
        network(512, 256, 10, activation="relu"), "cross_entropy", optim.Adam(1e-3), metrics=["accuracy"]
    )
    history = trainer.fit(x, mnist.train_labels[:20_000], epochs=2, batch_size=128, progress=False)
    unseen = mnist.test_images[:2_000].reshape(-1, 784) / np.float32(255)
    found = trainer.evaluate(unseen, mnist.test_labels[:2_000])
    assert found["accuracy"] >= 0.94
    assert history["loss"][1] < history["loss"][0] / 2
