"""Trains through any number of crashes: kill this script whenever you like, then run it again.

    python examples/resume.py              (kill it, press Ctrl-C, run it again ...)
    python examples/resume.py --kill 8     kills itself 8 times at random moments, and compares

Learns the digits that scikit-learn ships, with dropout, a falling learning rate and early stopping, and
writes a checkpoint after every 20th step. However often it was killed, the network in the end is the same, to
the bit: its SHA-256 is printed. With --kill, a second run that nobody kills must end with the same one, and
resume.png shows both and where the first was killed.
"""

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import bpcore as bp
from bpcore import callbacks, nn, optim, schedules

FILE = "resume.safetensors"


def network() -> nn.Module:
    return nn.Sequential(nn.Dense(256, "relu"), nn.Dropout(0.4), nn.Dense(128, "relu"), nn.Dense(10))


def train(folder: Path) -> None:
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    order = np.random.default_rng(0).permutation(len(images))
    test, validation, train = order[:360], order[360:540], order[540:]

    rate = schedules.Cosine(2e-3, 60 * 40)
    trainer = bp.Trainer(network(), "cross_entropy", optim.Adam(rate), metrics=["accuracy"])
    path = folder / FILE
    if path.exists():
        print(f"going on from {path}")
    history = trainer.fit(
        images[train],
        labels[train],
        epochs=60,
        batch_size=32,
        validation_data=(images[validation], labels[validation]),
        callbacks=[callbacks.EarlyStopping(patience=20), callbacks.Checkpoint(path, every_steps=20)],
        resume=path,
    )
    accuracy = trainer.evaluate(images[test], labels[test])["accuracy"]
    digest = hashlib.sha256(b"".join(value.tobytes() for value in trainer.parameters.values()))
    done = len(history.epochs)
    print(f"test accuracy {accuracy:.4f} after {done} epochs, SHA-256 {digest.hexdigest()[:16]}")


def kill_and_compare(folder: Path, kills: int) -> bool:
    """Trains in a process that is killed so often, then in one that isn't. Whether both end alike."""
    moments, places = random.Random(0), []
    for name in ("killed", "whole"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / FILE).unlink(missing_ok=True)
    while len(places) < kills:
        if run(folder / "killed", moments.uniform(0, 0.06)).returncode == 0:
            print("it was too quick to be killed again")
            break
        trainer = bp.Trainer.load(folder / "killed" / FILE, network())
        places.append(trainer.steps / 40)  # steps of an epoch
        print(f"killed; the checkpoint is of step {trainer.steps}")
    ends = [run(folder / name).stdout.splitlines()[-1] for name in ("killed", "whole")]
    print(f"killed {len(places)} times: {ends[0]}\nnever killed:   {ends[1]}")

    histories = [bp.Trainer.load(folder / name / FILE, network()).history for name in ("killed", "whole")]
    draw(folder / "resume.png", *histories, places)
    return ends[0] == ends[1]


def run(folder: Path, kill_after: float | None = None) -> "subprocess.CompletedProcess[str]":
    """This script in another process, which kills itself so many seconds after its first checkpoint."""
    command = [sys.executable, __file__, "--out", str(folder)]
    if kill_after is not None:
        command += ["--kill-after", str(kill_after)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(result.stderr)
    return result


def kill_myself(folder: Path, seconds: float) -> None:
    """Waits for a new checkpoint, then for so long."""
    path = folder / FILE
    before = path.stat().st_mtime_ns if path.exists() else None
    while not path.exists() or path.stat().st_mtime_ns == before:
        threading.Event().wait(0.001)
    threading.Event().wait(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def draw(path: Path, killed: bp.History, whole: bp.History, places: list[float]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    for place in places:
        panel.axvline(place, color="0.6", linestyle=":", label="killed here" if place == places[0] else None)
    panel.plot(whole.epochs, whole["val_loss"], color="#d9662b", linewidth=5, alpha=0.4, label="never killed")
    panel.plot(killed.epochs, killed["val_loss"], color="#1f5fa8", linewidth=1.5, label="killed and resumed")
    panel.set(xlabel="epoch", ylabel="validation loss", yscale="log", title="The same run, to the bit")
    panel.legend(frameon=False)
    figure.savefig(path, dpi=150)
    print(f"written: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains through crashes.")
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the files (default: here)")
    parser.add_argument("--kill", type=int, metavar="TIMES", help="kill it so often, and compare")
    parser.add_argument("--kill-after", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.kill is not None:
        if not kill_and_compare(options.out, options.kill):
            raise SystemExit("they differ")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if options.kill_after is not None:
        threading.Thread(target=kill_myself, args=(options.out, options.kill_after), daemon=True).start()
    train(options.out)


if __name__ == "__main__":
    main()
