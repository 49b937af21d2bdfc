"""Learns to write like Shakespeare, a character at a time, with an LSTM or a small GPT.

FILE is Tiny Shakespeare (1.1 million characters, 65 different ones); its last tenth is held out. The GPT is
nanoGPT's for a CPU (A. Karpathy, 2022): 4 blocks of width 128 with 4 heads on windows of 64 characters, 2,000
steps of 12 windows, AdamW with a warm-up and a cosine. Prints the loss as it falls, the loss over the whole
held-out tenth (in nats a character; nanoGPT publishes 1.88) and a sample of text, and writes
shakespeare_gpt.png or shakespeare_lstm.png with the curve.

    python examples/shakespeare.py FILE [--model gpt|lstm] [--steps 2000] [--seed 0] [--out FOLDER]
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import bpcore as bp
from bpcore import data, decoding, nn, optim, schedules

WINDOW = 64
SHOWN = 250  # steps from one line to the next


class Gpt(nn.Module):
    """Logits (batch, time, characters) of tokens (batch, time)."""

    def __init__(self, characters: int) -> None:
        small = nn.init.Normal(std=0.02)
        self.embedding = nn.Embedding(characters, 128, init=small)
        self.positions = nn.LearnedPositions(WINDOW, 128)
        self.blocks = nn.TransformerEncoder(4, 128, 4, 512, causal=True)
        self.head = nn.Dense(characters, kernel_init=small)

    def __call__(self, tokens):
        return self.head(self.blocks(self.positions(self.embedding(tokens))))


def lstm(characters: int) -> nn.Sequential:
    """The same for a recurrent network."""
    return nn.Sequential(
        nn.Embedding(characters, 64, init=nn.init.Normal(std=0.1)),
        nn.LSTM(256, return_sequences=True),
        nn.Dropout(0.1),
        nn.Dense(characters),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Learns to write like Shakespeare.")
    parser.add_argument("file", type=Path, help="the text")
    parser.add_argument("--model", choices=("gpt", "lstm"), default="gpt")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args()
    try:
        text = options.file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sys.exit(f"shakespeare.py: {error}")
    characters = data.Vocabulary(text)
    tokens = characters.encode(text)
    cut = len(tokens) * 9 // 10
    learned, held_out = tokens[:cut], tokens[cut:]

    gpt = options.model == "gpt"
    model = Gpt(len(characters)) if gpt else lstm(len(characters))
    batch, rate = (12, 1e-3) if gpt else (32, 4e-3)
    decay = schedules.Cosine(rate, max(1, options.steps - 100), eta_min=rate / 10)
    optimizer = optim.AdamW(schedules.Warmup(decay, 100), betas=(0.9, 0.99), weight_decay=0.1)
    trainer = bp.Trainer(model, "cross_entropy", optimizer, seed=options.seed, clip_norm=1.0)

    random = np.random.default_rng(options.seed)
    x, y = data.sliding_windows(learned, WINDOW, stride=1)  # views: one begins at each character
    held_x, held_y = data.sliding_windows(held_out, WINDOW)
    losses, checked = [], []
    begin = time.perf_counter()
    for step in range(1, options.steps + 1):
        chosen = random.integers(0, len(x), batch)
        losses.append(trainer.step(x[chosen], y[chosen]))
        if step % SHOWN == 0 or step == options.steps:
            some = trainer.evaluate(held_x[::10], held_y[::10])["loss"]
            checked.append((step, some))
            print(
                f"step {step:5}: loss {np.mean(losses[-SHOWN:]):.3f}, mean of {min(step, SHOWN)} steps; "
                f"of a tenth of the held-out text {some:.3f}; {time.perf_counter() - begin:.0f} s",
                flush=True,
            )
    print(f"loss over all of the held-out text: {trainer.evaluate(held_x, held_y)['loss']:.4f}")

    def logits(prefix, state):
        return trainer.predict(prefix[:, -WINDOW:])[:, -1], state

    written = decoding.sample(logits, held_x[:1], max_length=500, temperature=0.8, seed=options.seed)
    print("".join(characters.decode(written.tokens[0])))

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    panel = figure.subplots()
    smooth = np.convolve(losses, np.ones(20) / 20, "valid")
    panel.plot(
        np.arange(len(smooth)) + 10, smooth, color="#1f5fa8", linewidth=1, label="training, mean of 20"
    )
    panel.plot(*zip(*checked, strict=True), "o--", color="#d9662b", markersize=4, label="held out")
    panel.set_xlabel("step")
    panel.set_ylabel("nats a character")
    panel.grid(visible=True, color="0.9", linewidth=0.8)
    panel.spines[["top", "right"]].set_visible(False)
    panel.legend(frameon=False)
    options.out.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out / f"shakespeare_{options.model}.png", dpi=150)


if __name__ == "__main__":
    main()
