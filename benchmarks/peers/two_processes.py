"""Two processes that train at once, each with as many threads as there are CPUs, against fair halves.

    python benchmarks/peers/two_processes.py [--threads 2] [--quick] [--json results.json]

In a fair half a process has half of the CPUs to itself, and as many threads. Threads that wait actively
make two crowded processes slower than that. The network is 784-256-256-10 at batch 256.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from measuring import Record, arguments, parse, thread_variables

CONTENDERS = ("bpcore", "pytorch", "jax_jit", "jax_scan")


def train(name: str, cpus: list[int], seconds: float) -> float:
    """Seconds a step of this process on `cpus`, from a time on that both processes are told."""
    os.sched_setaffinity(0, cpus)
    from contenders import make_contender
    from dense_network import DenseNetwork

    contender = make_contender(name, DenseNetwork.on_noise((784, 256, 256, 10), 256, 10), len(cpus))
    contender.epoch()
    print("ready", flush=True)
    begin = float(sys.stdin.readline())
    time.sleep(max(0.0, begin - time.time()))
    steps = 0
    while time.time() < begin + seconds:
        steps += contender.epoch()
    return (time.time() - begin) / steps


def pair(name: str, both: list[list[int]], seconds: float) -> float:
    """The mean seconds a step of two processes at once, with those CPUs and a thread for each CPU."""
    processes = []
    for cpus in both:
        command = [sys.executable, __file__, "--only", name, "--threads", str(len(cpus))]
        command += ["--seconds", str(seconds), "--cpus", *map(str, cpus)]
        environment = os.environ | thread_variables(len(cpus))
        pipe = subprocess.PIPE
        processes.append(subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True))
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise SystemExit(f"{name} failed")
    begin = time.time() + 0.1
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(f"{begin}\n")
        process.stdin.flush()
    return statistics.mean(float(process.communicate()[0]) for process in processes)


def main() -> None:
    parser = arguments(__doc__, rounds=5, threads=2)
    parser.add_argument("--seconds", type=float, default=3.0, help="of training, each time")
    parser.add_argument("--only", help="train this contender and print its seconds a step")
    parser.add_argument("--cpus", type=int, nargs="+", help="where to train it")
    options = parse(parser)
    if options.only:
        print(train(options.only, options.cpus, options.seconds))
        return
    from contenders import installed

    cpus = sorted(os.sched_getaffinity(0))
    half = max(1, len(cpus) // 2)
    ways = {"fair halves": [cpus[:half], cpus[-half:]], "all CPUs each": [cpus, cpus]}
    seconds = 0.5 if options.quick else options.seconds
    names = [name for name in installed() if name in CONTENDERS]
    times: dict[str, dict[str, list[float]]] = {way: {name: [] for name in names} for way in ways}
    for _ in range(options.rounds):
        for name in names:
            for way, both in ways.items():
                times[way][name].append(pair(name, both, seconds))

    record = Record("a step of two processes at once", "s", options.threads)
    for way, values in times.items():
        record.add(way, values)
    print("\n| contender | all CPUs each to fair halves |\n|---|---|")
    for name in names:
        crowded, fair = (statistics.median(times[way][name]) for way in ("all CPUs each", "fair halves"))
        print(f"| {name} | {crowded / fair:.2f} |")
    record.write(options.json)


if __name__ == "__main__":
    main()
