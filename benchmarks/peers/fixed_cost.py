"""What `fit` costs around the native work: an epoch with all that people use, and one of the core alone.

    python benchmarks/peers/fixed_cost.py [--threads 1] [--quick]

An epoch of `fit` has validation, history, a progress bar and EarlyStopping, which keeps the best weights; the
other is two native calls, for the steps and for the validation data. Taking turns, many epochs a turn; what
`fit` does once a call (looking at the data) is shared among them. The bar writes to nowhere. The first ratio
should stay below 1.2.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from measuring import arguments, median_and_spread, parse, readable, take_turns

if TYPE_CHECKING:
    from collections.abc import Callable

    from dense_network import DenseNetwork

# sizes, batch, samples, validation samples, epochs a round
WORKLOADS = (
    ((10, 64, 64, 10), 32, 20000, 4000, 25),
    ((10, 32, 10), 32, 3200, 800, 250),
    ((10, 32, 10), 32, 320, 80, 2500),
)


def main() -> None:
    options = parse(arguments(__doc__, rounds=15))
    # Libraries are loaded once their threads are settled.
    from dense_network import DenseNetwork

    print("| | core alone | `fit` | ratio | around |\n|---|---|---|---|---|")
    for sizes, batch, samples, held_out, epochs in WORKLOADS:
        network = DenseNetwork.on_noise(sizes, batch, samples // batch)
        validation = DenseNetwork.on_noise(sizes, 1, held_out)
        many = max(2, epochs // 10) if options.quick else epochs
        contenders = {
            "core": core_epochs(network, validation, many, options.threads),
            "fit": fit_epochs(network, validation, many, options.threads),
        }
        times = take_turns(contenders, options.rounds)
        (core, _), (fit, spread) = (median_and_spread(times[name]) for name in ("core", "fit"))
        row = f"{network.name}, {samples:,} + {held_out:,} samples"
        shown = f"{readable(core, 's')} | {readable(fit, 's')} ± {spread:.0%}"
        print(f"| {row} | {shown} | {fit / core:.3f} | {readable(max(fit - core, 0), 's')} |", flush=True)


def core_epochs(
    network: DenseNetwork, validation: DenseNetwork, epochs: int, threads: int
) -> Callable[[], int]:
    """Epochs of the sessions that `fit` makes, with nothing around them."""
    import numpy as np
    from bpcore_contender import trainer_of

    from bpcore._native import core

    trainer = trainer_of(network, threads)
    engine = trainer._engine
    data, held_out = (
        trainer._reader.samples("fit", each.x, each.y, None, True) for each in (network, validation)
    )
    session = engine.training("fit", data, network.batch, 1, None, (0, True))[0]
    storage = engine.ready(None)
    plan, tail = engine._plan_pair("evaluation", held_out, 256, storage)[:2]
    evaluation = core.Session(plan, tail, storage.store, None, list(held_out.arrays), 256, threads=threads)
    rates = np.full((session.steps_per_epoch, 1), 1e-3)
    none = np.zeros((evaluation.steps_per_epoch, 1))

    def run() -> int:
        for epoch in range(epochs):
            session.begin_epoch(epoch, True)
            session.run(len(rates), rates)
            evaluation.begin_epoch(0, False)
            evaluation.run(len(none), none)
        return epochs

    return run


def fit_epochs(
    network: DenseNetwork, validation: DenseNetwork, epochs: int, threads: int
) -> Callable[[], int]:
    """Epochs of `fit`."""
    from bpcore_contender import trainer_of

    from bpcore.callbacks import EarlyStopping

    trainer = trainer_of(network, threads)

    def run() -> int:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            trainer.fit(
                network.x,
                network.y,
                epochs=epochs,
                batch_size=network.batch,
                validation_data=(validation.x, validation.y),
                callbacks=[EarlyStopping(patience=10**6)],
                progress="bar",
            )
        return epochs

    return run


if __name__ == "__main__":
    main()
