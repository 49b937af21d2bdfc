"""A first layer of a sparse matrix computes its activation in the same pass, and is known to do so."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import nn
from bpcore.callbacks import GradientHealth
from tests.training.problems import network

sparse = pytest.importorskip("scipy.sparse")

X = np.random.default_rng(0).normal(size=(24, 6))
Y = (X[:, 0] > 0).astype(int)


@pytest.mark.parametrize("matrix", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize(
    ("units", "activation", "loss"), [(1, "sigmoid", "binary_cross_entropy"), (2, "softmax", "cross_entropy")]
)
def test_probabilities_are_refused_where_logits_are_expected(
    matrix: Any, units: int, activation: str, loss: str
) -> None:
    trainer = bp.Trainer(nn.Sequential(nn.Dense(units, activation, in_features=6)), loss)
    with pytest.raises(ValueError, match=f"{loss} takes logits; leave the {activation} out"):
        trainer.fit(matrix(X), Y, epochs=1, progress=False)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_idle_units_are_those_of_the_dense_matrix(activation: str) -> None:
    found = []
    for matrix in (np.asarray, sparse.csr_matrix):
        trainer = bp.Trainer(network(5, 2, in_features=6, activation=activation), "cross_entropy")
        trainer.parameters["0.weight"][...] *= 20
        trainer.parameters["0.bias"][:2] = -1000
        watch = GradientHealth(every=1, warn=False)
        trainer.fit(matrix(X), Y, epochs=1, batch_size=24, callbacks=[watch], progress=False)
        health = trainer.health
        assert health is not None
        found.append(health.dead if activation == "relu" else health.saturated)
    assert list(found[0]) == list(found[1]) == ["0"]
    assert found[0]["0"][0] >= 0.4
    np.testing.assert_allclose(found[0]["0"], found[1]["0"])
