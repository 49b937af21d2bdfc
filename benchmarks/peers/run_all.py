"""All workloads, one after the other: figures as JSON, tables of ratios as Markdown, charts as PNG.

python benchmarks/peers/run_all.py --out results [--threads 1 2] [--quick] [--mnist FOLDER] [--reviews FOLDER]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(script: str, arguments: list[str], out: Path, threads: int, quick: bool) -> None:
    """Runs one workload and writes <name>_<threads>.json, .md and .png; its table is shown as it grows."""
    result = out / f"{script}_{threads}"
    command = [sys.executable, HERE / f"{script}.py", "--threads", str(threads), *arguments]
    command += ["--json", result.with_suffix(".json"), *(["--quick"] if quick else [])]
    with (
        result.with_suffix(".md").open("w") as table,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        for line in process.stdout or ():
            table.write(line)
            print(line, end="", flush=True)
    if process.returncode != 0:
        raise SystemExit(f"{script} failed")
    print()
    if script == "growth":  # it draws curves itself
        return
    chart = [sys.executable, HERE / "chart.py", result.with_suffix(".json"), result.with_suffix(".png")]
    subprocess.run(chart, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--quick", action="store_true", help="few rounds and small work: a trial run")
    parser.add_argument("--mnist", metavar="FOLDER", help="with MNIST's four IDX files, to train on it, too")
    parser.add_argument("--reviews", metavar="FOLDER", help="with rt-polarity.pos and .neg, for sparse words")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    for threads in options.threads:
        workloads: dict[str, list[str]] = {
            "dense_training": [],
            "layered_training": [],
            "products": [],
            "growth": ["--png", str(options.out / f"growth_{threads}.png")],
            "memory": [],
        }
        if threads == 1:
            workloads["single_sample"] = []
        else:
            workloads["two_processes"] = []
        if options.mnist:
            workloads["mnist_epoch"] = [options.mnist]
        if options.reviews:
            workloads["sparse"] = [options.reviews]
        for script, arguments in workloads.items():
            run(script, arguments, options.out, threads, options.quick)


if __name__ == "__main__":
    main()
