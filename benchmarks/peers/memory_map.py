"""Training on a file that is larger than what training may take: peak of the memory that is no file's.

    python benchmarks/peers/memory_map.py [--gigabytes 4] [--folder /tmp]

Trains a shuffled epoch of 784-128-10 at batch 256 on float32 images in a memory map, with a tenth held out,
then evaluates and predicts. Linux counts pages of the file apart (RssFile), which it may take back at any
time. Most of the file is a hole on the disk, which reads as zeros. Needs Linux.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import bpcore as bp
from bpcore import nn, optim

FEATURES = 784


def resident(kind: str) -> float:
    """MiB of this process: RssAnon, RssFile."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(text.split(f"{kind}:")[1].split()[0]) / 1024


class Watch(threading.Thread):
    """Looks at memory ten times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.1):
            self.peak = max(self.peak, resident("RssAnon"))

    def stop(self) -> float:
        self._over.set()
        self.join()
        return max(self.peak, resident("RssAnon"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--folder", default=None)
    given = parser.parse_args()
    rows = int(given.gigabytes * 2**30) // (4 * FEATURES)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        x = np.memmap(f"{folder}/x", np.float32, "w+", shape=(rows, FEATURES))
        x[:: max(1, rows // 1000)] = np.random.default_rng(0).random(FEATURES, np.float32)
        y = np.memmap(f"{folder}/y", np.uint8, "w+", shape=(rows,))
        y[:] = np.arange(rows) % 10
        model = nn.Sequential(nn.Dense(128, "relu", in_features=FEATURES), nn.Dense(10))
        trainer = bp.Trainer(model, "cross_entropy", optim.SGD(0.01), metrics=["accuracy"])
        print(f"file: {x.nbytes / 2**20:.0f} MiB, {rows} rows; before: {resident('RssAnon'):.0f} MiB")
        for name, call in (
            (
                "fit",
                lambda: trainer.fit(x, y, epochs=1, batch_size=256, validation_split=0.1, progress=False),
            ),
            ("evaluate", lambda: trainer.evaluate(x, y)),
            ("predict", lambda: trainer.predict(x)),
        ):
            watch, start = Watch(), time.perf_counter()
            watch.start()
            call()
            seconds = time.perf_counter() - start
            print(
                f"{name}: at most {watch.stop():.0f} MiB anonymous, {resident('RssFile'):.0f} MiB of files, "
                f"{seconds:.1f} s"
            )


if __name__ == "__main__":
    main()
