"""Time of one training step of convolutional, recurrent and attention networks: bpcore, PyTorch and JAX.

    python benchmarks/peers/layered_training.py [--threads 1] [--only LSTM] [--quick] [--json results.json]

A step is forward, cross-entropy, backward and Adam on one shuffled batch, float32.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from measuring import Record, arguments, parse, take_turns

if TYPE_CHECKING:
    from layered_networks import LayeredNetwork


# Name -> its module, the class there, and the package that it needs.
CONTENDERS = {
    "bpcore": ("layered_bpcore", "Contender", "bpcore"),
    "pytorch": ("layered_pytorch", "Contender", "torch"),
    "pytorch_channels_first": ("layered_pytorch", "ChannelsFirstContender", "torch"),
    "jax_jit": ("layered_jax", "Contender", "jax"),
}


def contenders_of(network: LayeredNetwork) -> list[str]:
    """Those that can take part here; PyTorch has images in both orders of axes."""
    found = [name for name, (*_, package) in CONTENDERS.items() if find_spec(package)]
    return [name for name in found if network.x.ndim == 4 or name != "pytorch_channels_first"]


def make_contender(name: str, network: LayeredNetwork, threads: int) -> Any:
    """The one of that name."""
    module, cls, _ = CONTENDERS[name]
    return getattr(import_module(module), cls)(network, threads)


def make_contenders(network: LayeredNetwork, threads: int) -> dict[str, Any]:
    """All that are installed. Stops unless their first losses agree, as `contenders` does."""
    made = {name: make_contender(name, network, threads) for name in contenders_of(network)}
    losses = {name: contender.losses(5) for name, contender in made.items()}
    tolerance = np.array([1e-5] + 4 * [1e-3])
    for name, found in losses.items():
        if not np.allclose(found, losses["bpcore"], rtol=tolerance, atol=1e-5):
            raise SystemExit(f"{network.name}: {name} computes something else: {losses}")
    return made


def main() -> None:
    parser = arguments(__doc__, rounds=9)
    parser.add_argument("--only", default="", help="the networks whose names begin with this")
    options = parse(parser)
    # Libraries are loaded once their threads are settled.
    from layered_networks import layered_networks

    record = Record("a training step", "s", options.threads)
    for network in layered_networks(5 if options.quick else 20):
        if network.name.startswith(options.only):
            made = make_contenders(network, options.threads)
            times = take_turns({name: each.epoch for name, each in made.items()}, options.rounds)
            record.add(network.name, times)
    record.write(options.json)


if __name__ == "__main__":
    main()
