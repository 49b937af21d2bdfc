"""Peak resident memory of training, each contender in a process of its own.

    python benchmarks/peers/memory.py [--threads 1] [--quick] [--json results.json]

784-256-256-10 at batch 256, and the networks of layered_training.py. The peak is that of the whole process:
the interpreter, the library, the data, and what training takes. The process that has NumPy, bpcore and the
data alone is there for comparison.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from measuring import Record, arguments, parse

DENSE = "784-256-256-10, batch 256"


def peak_of(network: str, name: str, threads: int) -> int:
    """Bytes resident at the peak of a process that trains `name` for two epochs; `data` trains nothing."""
    command = [sys.executable, __file__, "--threads", str(threads), "--network", network, "--only", name]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def made(network: str, name: str, threads: int) -> Any:
    """The contender of that name with its data; the data alone for `data`."""
    if network == DENSE:
        from contenders import make_contender
        from dense_network import DenseNetwork

        dense = DenseNetwork.on_noise((784, 256, 256, 10), 256, 40)
        return dense if name == "data" else make_contender(name, dense, threads)
    from layered_networks import layered_networks
    from layered_training import make_contender as make_layered

    found = next(each for each in layered_networks(5) if each.name == network)
    return found if name == "data" else make_layered(name, found, threads)


def train(network: str, name: str, threads: int) -> int:
    """The peak of this process."""
    import resource

    contender = made(network, name, threads)
    if name != "data":
        for _ in range(2):
            contender.epoch()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB on Linux


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--network", default=DENSE, help="with --only: which network")
    parser.add_argument("--only", help="train this contender and print the peak in bytes")
    options = parse(parser)
    if options.only:
        print(train(options.network, options.only, options.threads))
        return
    from contenders import installed
    from layered_networks import layered_networks
    from layered_training import contenders_of

    record = Record("peak resident memory", "bytes", options.threads)
    rounds = 1 if options.quick else options.rounds
    rows = {DENSE: installed()} | {each.name: contenders_of(each) for each in layered_networks(1)}
    for network, contenders in rows.items():
        names = ["data", *contenders]
        peaks = {
            name: [float(peak_of(network, name, options.threads)) for _ in range(rounds)] for name in names
        }
        record.add(network, peaks)
    record.write(options.json)


if __name__ == "__main__":
    main()
