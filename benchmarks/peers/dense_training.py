"""Time of one training step of dense networks, in every contender that is installed.

    python benchmarks/peers/dense_training.py [--threads 1] [--quick] [--json results.json]

A step is forward, cross-entropy, backward and Adam on one batch, float32.
"""

from __future__ import annotations

from measuring import Record, arguments, parse, take_turns

# sizes, batch, steps a round
WORKLOADS = (
    ((10, 32, 10), 1, 20000),
    ((10, 64, 64, 10), 32, 2000),
    ((784, 128, 10), 32, 400),
    ((784, 128, 10), 128, 200),
    ((784, 256, 256, 10), 256, 100),
    ((1024, 2048, 2048, 1000), 256, 10),
)


def main() -> None:
    options = parse(arguments(__doc__, rounds=15))
    # Libraries are loaded once their threads are settled.
    from contenders import make_contenders
    from dense_network import DenseNetwork

    record = Record("a training step", "s", options.threads)
    for sizes, batch, steps in WORKLOADS:
        network = DenseNetwork.on_noise(sizes, batch, max(10, steps // 10) if options.quick else steps)
        made = make_contenders(network, options.threads)
        times = take_turns({name: contender.epoch for name, contender in made.items()}, options.rounds)
        record.add(network.name, times)
    record.write(options.json)


if __name__ == "__main__":
    main()
