"""The examples run and show what they say: on data that scikit-learn ships, or made-up data of their form."""

from __future__ import annotations

import io
import re
import tarfile
import wave
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.scripts import ROOT, run_script

if TYPE_CHECKING:
    from pathlib import Path

# Under sanitizers they take minutes, and show nothing that the tests of what they call does not.
pytestmark = pytest.mark.slow


def run_example(folder: Path, name: str, *arguments: str | Path) -> str:
    """What the example prints when it is run in `folder`, which must end well."""
    return run_script(folder, ROOT / "examples" / name, *arguments)


def test_the_example_of_exclusive_or_learns_it(tmp_path: Path) -> None:
    out = run_example(tmp_path, "xor.py")
    found = re.fullmatch(r"\[(.*)\] should be \[0, 1, 1, 0\]\n", out)
    assert found, out
    assert [float(number) > 0.5 for number in found[1].split()] == [False, True, True, False]


def test_the_example_of_the_cart_learns_to_balance_its_pole(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    out = run_example(tmp_path, "cart_pole.py", "--steps", "40960", "--out", tmp_path)
    found = re.search(r"stayed up for (\d+\.\d) steps of 500", out)
    assert found, out
    assert float(found[1]) > 200  # by chance it is 10
    assert (tmp_path / "cart_pole.png").is_file()


def _write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def test_the_example_of_mnist_reads_a_folder_and_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 50)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        _write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        _write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    out = run_example(tmp_path, "mnist.py", tmp_path, "--epochs", "1")
    assert re.search(r"^epoch  1: loss \d\.\d+, accuracy 0\.\d+", out, re.MULTILINE), out
    assert "test accuracy 0." in out


def test_the_example_of_digits_writes_its_files(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = run_example(tmp_path, "digits.py", "--epochs", "2", "--out", tmp_path)
    assert "test accuracy 0." in out
    assert (tmp_path / "digits.safetensors").is_file()
    assert (tmp_path / "digits.png").is_file()


def test_the_example_of_resuming_ends_as_if_it_had_never_been_killed(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = run_example(tmp_path, "resume.py", "--kill", "3", "--out", tmp_path)
    ends = re.findall(r"test accuracy 0\.9\d+ after \d+ epochs, SHA-256 ([0-9a-f]{16})", out)
    assert len(ends) == 2, out
    assert ends[0] == ends[1]
    assert "killed; the checkpoint is of step" in out
    assert (tmp_path / "resume.png").is_file()


def test_the_example_of_vanishing_gradients_names_what_is_wrong(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    out = run_example(tmp_path, "vanishing_gradients.py", "--out", tmp_path)
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
    out = run_example(tmp_path, "regularization.py", "--epochs", "80", "--out", tmp_path)
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


def test_the_example_of_images_reads_a_folder_and_draws(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    for part, count in (("train", 200), ("t10k", 60)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        _write_idx(tmp_path / f"{part}-images-idx3-ubyte", images)
        _write_idx(tmp_path / f"{part}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))
    out = run_example(tmp_path, "images.py", tmp_path, "--epochs", "1", "--out", tmp_path)
    assert re.search(r"^epoch  1: loss \d\.\d+, accuracy 0\.\d+, validation 0\.\d+", out, re.MULTILINE), out
    assert "test accuracy 0." in out
    assert (tmp_path / "images.png").is_file()


def test_the_example_of_spoken_digits_learns_tones(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    with tarfile.open(tmp_path / "recordings.tar.gz", "w:gz") as archive:
        for digit in range(10):
            for number in range(12):
                t = np.arange(rng.integers(3000, 9000)) / 8000
                tone = np.sin(2 * np.pi * (300 + 300 * digit) * t) + 0.1 * rng.standard_normal(len(t))
                sound = io.BytesIO()
                with wave.open(sound, "wb") as file:
                    file.setparams((1, 2, 8000, 0, "NONE", ""))
                    file.writeframes((8000 * tone).astype("<i2").tobytes())
                info = tarfile.TarInfo(f"recordings/{digit}_tone_{number}.wav")
                info.size = sound.tell()
                sound.seek(0)
                archive.addfile(info, sound)
    out = run_example(tmp_path, "spoken_digits.py", "recordings.tar.gz", "--epochs", "15", "--out", tmp_path)
    accuracy = re.search(r"test accuracy (\d\.\d+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.9
    assert (tmp_path / "spoken_digits.png").is_file()


@pytest.mark.parametrize("model", ["gpt", "lstm"])
def test_the_example_of_shakespeare_writes(tmp_path: Path, model: str) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "text.txt").write_text("To be, or not to be: that is the question.\n" * 60, "utf-8")
    out = run_example(
        tmp_path, "shakespeare.py", "text.txt", "--model", model, "--steps", "60", "--out", tmp_path
    )
    loss = re.search(r"loss over all of the held-out text: (\d\.\d+)", out)
    assert loss is not None
    assert float(loss[1]) < np.log(len(set("To be, or not to be: that is the question.\n")))
    assert len(out.partition(loss[0])[2]) >= 500
    assert (tmp_path / f"shakespeare_{model}.png").is_file()


def test_the_example_of_movie_reviews_learns_words(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    for kind, word in (("pos", "wonderful"), ("neg", "dreadful")):
        others = rng.integers(0, 30, (200, 9))
        lines = [" ".join([*(f"word{n}" for n in row), word, "film"]) for row in others]
        (tmp_path / f"rt-polarity.{kind}").write_text("\n".join(lines) + "\n", "utf-8")
    out = run_example(tmp_path, "movie_reviews.py", tmp_path, "--epochs", "4", "--out", tmp_path)
    accuracy = re.search(r"test accuracy (\d\.\d+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.9
    assert len(re.findall(r"% praise: ", out)) == 4
    assert (tmp_path / "movie_reviews.png").is_file()


def test_the_example_of_sparse_text_finds_the_telling_words(tmp_path: Path) -> None:
    for name in ("sklearn", "matplotlib"):
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    for kind, word in (("pos", "wonderful"), ("neg", "dreadful")):
        others = rng.integers(0, 30, (200, 9))
        lines = [" ".join([*(f"word{n}" for n in row), word, "film"]) for row in others]
        (tmp_path / f"rt-polarity.{kind}").write_text("\n".join(lines) + "\n", "utf-8")
    out = run_example(tmp_path, "text_sparse.py", tmp_path, "--epochs", "30", "--out", tmp_path)
    assert re.search(r"^360 sentences, \d+ words and pairs, \d+ in a sentence", out), out
    accuracy = re.search(r"test accuracy (\d\.\d+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.9
    assert (tmp_path / "text_sparse.png").is_file()


def test_the_example_of_splice_junctions_learns_where_motifs_are(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(300):
        bases = rng.choice(list("ACGT"), 60)
        kind = ("EI", "IE", "N")[number % 3]
        if kind != "N":
            bases[28:32] = list("GGTA") if kind == "EI" else list("CAGG")
        rows.append(f"PIECE-{number},{','.join(bases)},{kind}")
    (tmp_path / "splice.arff").write_text("@relation splice\n@data\n" + "\n".join(rows) + "\n%\n", "utf-8")
    out = run_example(tmp_path, "splice_junctions.py", "splice.arff", "--out", tmp_path)
    accuracy = re.search(r"test accuracy (\d\.\d+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.9
    assert (tmp_path / "splice_junctions.png").is_file()


def test_the_example_of_tabular_data_learns_who_earns_more(tmp_path: Path) -> None:
    for name in ("matplotlib", "pandas", "sklearn"):
        pytest.importorskip(name)
    rng = np.random.default_rng(0)
    for part, count, end in (("train", 1500, ""), ("test", 400, ".")):
        lines = []
        for _ in range(count):
            years, kind = rng.integers(5, 17), rng.choice(["Private", "State-gov", "?"])
            rich = years + 3 * (kind == "State-gov") > 12
            row = [
                rng.integers(17, 80),
                kind,
                10**5,
                "HS-grad",
                years,
                "Divorced",
                "Sales",
                "Wife",
                "White",
                "Male",
            ]
            lines.append(", ".join(map(str, [*row, 0, 0, 40, "Cuba", (">50K" if rich else "<=50K") + end])))
        (tmp_path / f"adult-{part}.csv").write_text("\n".join(lines) + "\n\n", "utf-8")
    out = run_example(tmp_path, "tabular.py", tmp_path, "--out", tmp_path)
    accuracy = re.search(r"test accuracy (\d\.\d+)", out)
    assert accuracy is not None
    assert float(accuracy[1]) >= 0.95
    assert re.search(r"^ +over 50K +[01]\.\d{3}", out, re.MULTILINE), out
    assert (tmp_path / "tabular.png").is_file()


@pytest.mark.parametrize(
    "name",
    [
        "mnist.py",
        "images.py",
        "spoken_digits.py",
        "shakespeare.py",
        "movie_reviews.py",
        "splice_junctions.py",
        "tabular.py",
        "text_sparse.py",
    ],
)
def test_an_example_without_its_data_says_so(tmp_path: Path, name: str) -> None:
    if name != "mnist.py":
        pytest.importorskip("matplotlib")
    said = run_script(tmp_path, ROOT / "examples" / name, tmp_path / "nowhere", fails=True)
    assert said.startswith(f"{name}: ")
    assert "nowhere" in said
    assert "Traceback" not in said
