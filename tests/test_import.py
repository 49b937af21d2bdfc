"""`import bpcore` is cheap: what only some people need is loaded when they need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import bpcore as bp

LAZY = [
    "concurrent",
    "difflib",
    "google",
    "hashlib",
    "matplotlib",
    "multiprocessing",
    "safetensors",
    "scipy",
    "sklearn",
    "socket",
    "tensorboard",
    "torch",
    "tqdm",
]


def _loaded_by(code: str) -> set[str]:
    """Top-level modules that `code` loads beyond those that NumPy does."""
    script = f"""
import sys, json
import numpy
before = set(sys.modules)
{code}
print(json.dumps(sorted({{name.partition(".")[0] for name in set(sys.modules) - before}})))
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(bp.__file__).parents[1])}
    result = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_importing_loads_no_optional_or_slow_module() -> None:
    loaded = _loaded_by("import bpcore")
    assert "bpcore" in loaded, "the test must see what is loaded"
    assert not loaded & set(LAZY)


def test_training_quietly_loads_none_either() -> None:
    loaded = _loaded_by("""
import bpcore as bp
trainer = bp.Trainer(bp.nn.Sequential(bp.nn.Dense(2)), "cross_entropy")
trainer.fit([[0.0], [1.0]], [0, 1], epochs=1, progress=False)
""")
    assert not loaded & (set(LAZY) - {"hashlib"})


def test_public_names_are_there_and_documented() -> None:
    for name in bp.__all__:
        assert getattr(bp, name).__doc__, name
    namespace: dict[str, object] = {}
    exec("from bpcore import *", namespace)  # noqa: S102
    assert set(bp.__all__) <= set(namespace)


@pytest.mark.parametrize(
    "name",
    [
        "activations",
        "nn",
        "ops",
        "losses",
        "metrics",
        "optim",
        "schedules",
        "callbacks",
        "data",
        "decoding",
        "runtime",
    ],
)
def test_modules_list_their_public_names(name: str) -> None:
    module = getattr(bp, name)
    for public in module.__all__:
        assert hasattr(module, public), public
