"""Recognises spoken digits from raw recordings.

Reads recordings.tar.gz of the Free Spoken Digit Dataset: 3,000 recordings of six people at 8 kHz, of which
those numbered 0 to 4 are the official test set (300). Each becomes a log-mel spectrogram (S. Davis and P.
Mermelstein, 1980), computed here with NumPy; a convolutional network with a GRU behind it learns from them,
shifted in time at random. Prints the accuracy on the test set, and writes
spoken_digits.png: spectrograms of ten digits, and the table of confusions.

    python examples/spoken_digits.py FILE [--epochs 15] [--seed 0] [--out FOLDER]
"""

import argparse
import io
import sys
import tarfile
import wave
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import bpcore as bp
from bpcore import nn, ops, optim, schedules

RATE, FRAME, HOP, BANDS = 8000, 256, 100, 40  # samples a second, a frame, between frames; bands of a frame
FRAMES = 96  # 1.2 seconds; longer recordings are cut


def read(path: Path) -> list[tuple[str, np.ndarray]]:
    """(name, samples in [-1, 1)) of each recording."""
    found = []
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(".wav"):
                with wave.open(io.BytesIO(archive.extractfile(member).read())) as sound:
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
                found.append((Path(member.name).stem, samples.astype(np.float32) / 2**15))
    return found


def filters() -> np.ndarray:
    """Triangles over the frequencies of a frame (FRAME / 2 + 1, BANDS), evenly spaced in mel."""
    edges = 700 * (np.exp(np.linspace(0, np.log1p(RATE / 2 / 700), BANDS + 2)) - 1)  # in Hz
    low, middle, high = edges[:-2], edges[1:-1], edges[2:]
    at = np.linspace(0, RATE / 2, FRAME // 2 + 1)[:, np.newaxis]
    return np.clip(np.minimum((at - low) / (middle - low), (high - at) / (high - middle)), 0, None)


def spectrogram(samples: np.ndarray) -> np.ndarray:
    """Logarithm of the energy of each frame in each band (frames, BANDS)."""
    samples = np.pad(samples, (0, max(0, FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, FRAME)[::HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(FRAME))) ** 2
    return np.log(power @ filters() + 1e-6)


def arranged(spectra: list[np.ndarray], mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """All spectra in (count, FRAMES, BANDS, 1), standardised, two deviations below it behind the end."""
    x = np.full((len(spectra), FRAMES, BANDS, 1), -2.0, np.float32)
    for row, spectrum in zip(x, spectra, strict=True):
        part = ((spectrum - mean) / deviation)[:FRAMES]
        row[: len(part), :, 0] = part
    return x


class Listener(nn.Module):
    """Logits (batch, 10) of spectrograms (batch, FRAMES, BANDS, 1)."""

    def __init__(self) -> None:
        self.filters = nn.Sequential(
            nn.Conv2D(16, 3, padding="same", use_bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2D(2),
            nn.Conv2D(32, 3, padding="same", use_bias=False), nn.BatchNorm(), nn.ReLU(), nn.MaxPool2D(2),
        )  # fmt: skip
        self.dropout = nn.Dropout(0.3)
        self.memory = nn.GRU(64, bidirectional=True)
        self.out = nn.Dense(10)

    def __call__(self, x):
        found = self.filters(x)  # (batch, frames / 4, bands / 4, 32)
        steps = ops.reshape(found, (*found.shape[:2], found.shape[2] * found.shape[3]))
        return self.out(self.dropout(self.memory(self.dropout(steps))))


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to recognise spoken digits.")
    parser.add_argument("file", type=Path, help="recordings.tar.gz")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        recordings = read(options.file)
    except (OSError, tarfile.TarError, wave.Error) as error:
        sys.exit(f"spoken_digits.py: {options.file} can't be read: {error}")
    digits = np.array([int(name.split("_")[0]) for name, _ in recordings])
    is_test = np.array([int(name.split("_")[2]) < 5 for name, _ in recordings])
    spectra = [spectrogram(samples) for _, samples in recordings]
    frames = np.concatenate([each for each, test in zip(spectra, is_test, strict=True) if not test])
    x = arranged(spectra, frames.mean(0), frames.std(0))

    model = Listener()
    steps = options.epochs * -(-int((~is_test).sum()) // 32)
    trainer = bp.Trainer(
        model,
        "cross_entropy",
        optim.AdamW(schedules.OneCycle(3e-3, steps), weight_decay=1e-2),
        metrics=["accuracy"],
        seed=options.seed,
        clip_norm=1.0,
    )
    random = np.random.default_rng(options.seed)
    for epoch in range(options.epochs):
        learned = x[~is_test]
        for row, shift in zip(learned, random.integers(-6, 7, len(learned)), strict=True):
            row[...] = np.roll(row, shift, axis=0)
        history = trainer.fit(learned, digits[~is_test], epochs=1, batch_size=32, progress=False)
        print(
            f"epoch {epoch + 1:2}: loss {history['loss'][-1]:.4f}, accuracy {history['accuracy'][-1]:.4f}, "
            f"{history.seconds[-1]:.1f} s",
            flush=True,
        )
    predicted = trainer.predict(x[is_test]).argmax(1)
    print(f"test accuracy {(predicted == digits[is_test]).mean():.4f}")

    figure = Figure(figsize=(12, 4.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2.2, 1])
    for digit, panel in enumerate(left.subplots(2, 5).flat):
        panel.imshow(
            x[np.flatnonzero(is_test & (digits == digit))[0], :, :, 0].T, origin="lower", aspect="auto"
        )
        panel.set_title(str(digit), fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    left.supxlabel("time, 1.2 s", fontsize=9)
    left.supylabel("frequency, 0 to 4 kHz in mel", fontsize=9)
    table = np.zeros((10, 10), int)
    np.add.at(table, (digits[is_test], predicted), 1)
    panel = right.subplots()
    panel.imshow(table, cmap="Blues")
    for (row, column), count in np.ndenumerate(table):
        if count:
            panel.text(
                column, row, count, ha="center", va="center", fontsize=8, color="w" if count > 15 else "k"
            )
    panel.set_xticks(range(10))
    panel.set_yticks(range(10))
    panel.set_xlabel("recognised")
    panel.set_ylabel("spoken")
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / "spoken_digits.png", dpi=150)


if __name__ == "__main__":
    main()
