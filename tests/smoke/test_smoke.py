"""The whole road in a few lines: describe, differentiate, plan, run, keep."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import bpcore as bp
from bpcore import nn, optim


def test_a_small_network_learns_xor_and_survives_saving(tmp_path: Path) -> None:
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    y = np.array([0, 1, 1, 0])
    model = nn.Sequential(nn.Dense(8, "tanh"), nn.Dense(2))
    trainer = bp.Trainer(model, loss="cross_entropy", optimizer=optim.Adam(0.05), metrics=["accuracy"])
    history = trainer.fit(x, y, epochs=200, batch_size=4, progress=False)

    assert history["loss"][-1] < 0.05 < history["loss"][0]
    assert trainer.evaluate(x, y)["accuracy"] == 1.0
    assert trainer.predict(x).argmax(axis=1).tolist() == y.tolist()

    trainer.save(tmp_path / "xor.safetensors")
    again = bp.Trainer.load(tmp_path / "xor.safetensors", nn.Sequential(nn.Dense(8, "tanh"), nn.Dense(2)))
    np.testing.assert_array_equal(again.predict(x), trainer.predict(x))


def test_ops_and_derivatives_at_a_prompt() -> None:
    x = np.array([1.0, -2.0, 3.0])
    np.testing.assert_array_equal(bp.ops.relu(x), [1.0, 0.0, 3.0])
    np.testing.assert_allclose(bp.grad(lambda v: bp.ops.sum(v * v * v))(x), 3 * x**2)
