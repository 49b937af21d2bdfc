"""What callbacks.GradientHealth costs: the time of a watched step, and its share of an epoch at every 50.

    python benchmarks/peers/health.py [--threads 1] [--quick]

The same training with every step watched and with none, taking turns.
"""

from __future__ import annotations

import statistics

from measuring import arguments, parse, readable, take_turns

EVERY = 50  # GradientHealth's default
# sizes, batch, steps a round
WORKLOADS = (
    ((10, 32, 10), 1, 20000),
    ((10, 64, 64, 10), 32, 1000),
    ((784, 128, 10), 128, 50),
    ((784, 256, 256, 10), 256, 20),
)


def main() -> None:
    options = parse(arguments(__doc__, rounds=15))
    # Libraries are loaded once their threads are settled.
    from bpcore_contender import trainer_of
    from dense_network import DenseNetwork

    from bpcore import callbacks

    print("| | a step | a watched step | of an epoch, every 50 |\n|---|---|---|---|")
    for sizes, batch, steps in WORKLOADS:
        network = DenseNetwork.on_noise(sizes, batch, max(10, steps // 10) if options.quick else steps)

        def fits(watched: bool, network: DenseNetwork = network) -> object:
            trainer = trainer_of(network, options.threads)

            def fit() -> int:
                listeners = [callbacks.GradientHealth(1, warn=False)] if watched else []
                before = trainer.steps
                trainer.fit(
                    network.x,
                    network.y,
                    epochs=1,
                    batch_size=network.batch,
                    callbacks=listeners,
                    progress=False,
                )
                return trainer.steps - before

            return fit

        times = take_turns({"plain": fits(False), "watched": fits(True)}, options.rounds)
        plain, watched = (statistics.median(times[name]) for name in ("plain", "watched"))
        share = (watched - plain) / plain / EVERY
        print(
            f"| {network.name} | {readable(plain, 's')} | {readable(watched, 's')} | {share:.2%} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
