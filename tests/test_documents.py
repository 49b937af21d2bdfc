"""What the documents show runs: the README's Python, and the examples."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.training.problems import child_environment

ROOT = Path(__file__).resolve().parent.parent


def _run(folder: Path, *arguments: str | Path) -> str:
    """What a fresh Python prints, which must end well."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readmes_python_runs_from_top_to_bottom(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert blocks
    (tmp_path / "readme.py").write_text("\n".join(blocks), "utf-8")
    assert "'accuracy': " in _run(tmp_path, "readme.py")
    assert (tmp_path / "model.safetensors").is_file()


def test_the_example_of_exclusive_or_learns_it(tmp_path: Path) -> None:
    out = _run(tmp_path, ROOT / "examples" / "xor.py")
    found = re.fullmatch(r"\[(.*)\] should be \[0, 1, 1, 0\]\n", out)
    assert found, out
    assert [float(number) > 0.5 for number in found[1].split()] == [False, True, True, False]


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def test_the_example_of_mnist_reads_a_folder_and_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 50)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        _write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        _write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    out = _run(tmp_path, ROOT / "examples" / "mnist.py", tmp_path, "--epochs", "1")
    assert re.search(r"^epoch  1: loss \d\.\d+, accuracy 0\.\d+", out, re.MULTILINE), out
    assert "test accuracy 0." in out


def test_the_example_of_digits_writes_its_files(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = _run(tmp_path, ROOT / "examples" / "digits.py", "--epochs", "2", "--out", tmp_path)
    assert "test accuracy 0." in out
    assert (tmp_path / "digits.safetensors").is_file()
    assert (tmp_path / "digits.png").is_file()


def test_the_example_of_vanishing_gradients_names_what_is_wrong(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = _run(tmp_path, ROOT / "examples" / "vanishing_gradients.py", "--out", tmp_path)
    sigmoid, relu, fast = out.split("\n\n")[:3]
    assert "vanishing: gradients of layers '0', '1', ..." in sigmoid
    assert "no trouble found" in relu
    accuracy = re.search(r"relu: test accuracy (\d\.\d+)", relu)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.93  # over seeds it is 0.947 to 0.972
    assert re.search(r"explosion: it began at step \d+: ", fast)
    for name in ("sigmoid", "relu", "too_fast"):
        assert (tmp_path / f"gradients_{name}.png").is_file()


def test_the_example_of_regularization_shows_overfitting_and_what_helps(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = _run(tmp_path, ROOT / "examples" / "regularization.py", "--epochs", "80", "--out", tmp_path)
    row = r"^(\w[\w ]+?) +(\d+)  loss (\d\.\d+), +([\d.]+)%  loss (\d\.\d+), +([\d.]+)%$"
    rows = {name: [float(each) for each in rest] for name, *rest in re.findall(row, out, re.MULTILINE)}
    assert list(rows) == ["no regularisation", "L2 penalty", "dropout", "early stopping"], out
    epochs, training, learned, plain, _ = rows.pop("no regularisation")
    assert epochs == 80
    assert training < 0.1
    assert learned == 100
    assert all(loss < 0.95 * plain for _, _, _, loss, _ in rows.values()), out
    assert rows["early stopping"][0] < 80
    assert (tmp_path / "regularization.png").is_file()
