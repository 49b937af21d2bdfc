"""Recognises spoken digits from raw recordings.

Reads recordings.tar.gz of the Free Spoken Digit Dataset: 3,000 recordings of six people at 8 kHz, of which
those numbered 0 to 4 are the official test set (300). Each becomes a log-mel spectrogram (S. Davis and P.
Mermelstein, 1980), computed here with NumPy; a convolutional network with a GRU behind it learns from them,
shifted in time at random. Prints the accuracy on the test set, and writes spoken_digits.png, spectrograms of
ten digits, and spoken_digits_confusions.png, which was taken for which.

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
from bpcore.plotting import plot_confusion

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


def shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each spectrogram of a batch moved by up to six frames in time, its end behind its start."""
    shifts = rng.integers(-6, 7, (len(x), 1))
    return x[np.arange(len(x))[:, np.newaxis], (np.arange(FRAMES) - shifts) % FRAMES]


def draw(examples: np.ndarray, path: Path) -> None:
    """Spectrograms of the ten digits (10, FRAMES, BANDS)."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(2, 5)
    for digit, (panel, spectrum) in enumerate(zip(panels.flat, examples, strict=True)):
        image = panel.imshow(spectrum.T, origin="lower", aspect="auto", vmin=-2, vmax=3)
        panel.set_title(str(digit), fontsize=9)
        panel.set_xticks([])
        panel.set_yticks([])
    figure.supxlabel(f"time, {FRAMES * HOP / RATE:.1f} s", fontsize=9)
    figure.supylabel("frequency, 0 to 4 kHz in mel", fontsize=9)
    bar = figure.colorbar(image, ax=panels, extend="both", aspect=40)
    bar.set_label("log energy, in standard deviations from a band's mean", fontsize=9)
    figure.savefig(path, dpi=150)


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
        metrics=["accuracy", "confusion_matrix"],
        seed=options.seed,
        clip_norm=1.0,
    )
    trainer.fit(x[~is_test], digits[~is_test], epochs=options.epochs, batch_size=32, augment=shifted)
    result = trainer.evaluate(x[is_test], digits[is_test])
    print(f"test accuracy {result['accuracy']:.4f}")
    options.out.mkdir(parents=True, exist_ok=True)
    examples = [np.flatnonzero(is_test & (digits == digit))[0] for digit in range(10)]
    draw(x[examples, :, :, 0], options.out / "spoken_digits.png")
    plot_confusion(result["confusion_matrix"], path=options.out / "spoken_digits_confusions.png")


if __name__ == "__main__":
    main()
