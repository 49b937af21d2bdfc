"""Peak resident memory of training 784-256-256-10 at batch 256, each contender in a process of its own.

    python benchmarks/peers/memory.py [--threads 1] [--quick] [--json results.json]

The peak of the whole process: the interpreter, the library, 31 MiB of data, and what training takes. The
process that has NumPy and the data alone is there for comparison.
"""

from __future__ import annotations

import subprocess
import sys

from measuring import Record, arguments, parse


def peak_of(name: str, threads: int) -> int:
    """Bytes resident at the peak of a process that trains `name` for two epochs; `data` trains nothing."""
    command = [sys.executable, __file__, "--threads", str(threads), "--only", name]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def train(name: str, threads: int) -> int:
    """The same, of this process."""
    import resource

    from contenders import make_contender
    from dense_network import DenseNetwork

    network = DenseNetwork.on_noise((784, 256, 256, 10), 256, 40)
    if name != "data":
        contender = make_contender(name, network, threads)
        for _ in range(2):
            contender.epoch()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, KiB on Linux


def main() -> None:
    parser = arguments(__doc__, rounds=3)
    parser.add_argument("--only", help="train this contender and print the peak in bytes")
    options = parse(parser)
    if options.only:
        print(train(options.only, options.threads))
        return
    from contenders import installed

    record = Record("peak resident memory", "bytes", options.threads)
    rounds = 1 if options.quick else options.rounds
    names = ["data", *installed()]
    peaks = {name: [float(peak_of(name, options.threads)) for _ in range(rounds)] for name in names}
    record.add("784-256-256-10, batch 256", peaks)
    record.write(options.json)


if __name__ == "__main__":
    main()
