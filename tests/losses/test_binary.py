"""binary_cross_entropy, focal, hinge, squared_hinge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import bpcore as bp
from bpcore import losses, nn, ops
from tests.losses.agreement import DTYPES, check_loss, slopes
from tests.training.problems import network

RNG = np.random.default_rng(1)
Z, T = 3 * RNG.normal(size=(8, 3)), RNG.uniform(size=(8, 3))
T[:2], T[2:4] = 0, 1
SIGNS = np.where(RNG.normal(size=(8, 3)) > 0, 1.0, -1.0)
PER_LABEL, PER_ELEMENT = np.array([0.5, 0.0, 3.0]), RNG.uniform(0, 2, (8, 3))
EXTREMES = [-1e4, -700, -88, -20, -1e-3, -1e-40, 0, 1e-40, 1e-3, 20, 88, 700, 1e4]


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    return np.minimum(z, 0) - np.log1p(np.exp(-np.abs(z)))


def _cross_entropy(z: np.ndarray, t: np.ndarray, positive: Any = 1.0) -> np.ndarray:
    return -positive * t * _log_sigmoid(z) - (1 - t) * _log_sigmoid(-z)


def _focal(z: np.ndarray, t: np.ndarray, alpha: float | None, gamma: float) -> np.ndarray:
    """The paper's, in terms of log s and log(1 - s), so that nothing is lost near 0."""
    miss = t * np.exp(_log_sigmoid(-z)) + (1 - t) * np.exp(_log_sigmoid(z))
    share = 1.0 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
    return np.asarray(share * miss**gamma * _cross_entropy(z, t))


# Values and derivatives


@pytest.mark.parametrize("pos_weight", [None, 2, 0.0, PER_LABEL, PER_ELEMENT], ids=np.shape)
@pytest.mark.parametrize("weight", [None, 0.5, PER_LABEL, PER_ELEMENT], ids=np.shape)
def test_binary_cross_entropy_with_weights(weight: Any, pos_weight: Any) -> None:
    """They multiply the loss, and the mean is over all elements all the same."""

    def reference(z: np.ndarray, t: np.ndarray) -> Any:
        positive = 1.0 if pos_weight is None else pos_weight
        return _cross_entropy(z, t, positive) * (1.0 if weight is None else weight)

    check_loss(losses.binary_cross_entropy, reference, Z, T, weight=weight, pos_weight=pos_weight)


@pytest.mark.parametrize(
    ("alpha", "gamma"), [(0.25, 2.0), (None, 0), (0.0, 1), (1.0, 5), (0.5, 0.5), (0.3, 1.5), (None, 2)]
)
def test_focal(alpha: float | None, gamma: float) -> None:
    check_loss(losses.focal, lambda z, t: _focal(z, t, alpha, gamma), Z, T, alpha=alpha, gamma=gamma)


def test_focal_has_the_papers_defaults() -> None:
    np.testing.assert_allclose(losses.focal(Z, T, "none"), _focal(Z, T, 0.25, 2.0), rtol=1e-12)


def test_focal_without_focus_is_binary_cross_entropy() -> None:
    expected = losses.binary_cross_entropy(Z, T, "none")
    np.testing.assert_array_equal(losses.focal(Z, T, "none", alpha=None, gamma=0), expected)


@pytest.mark.parametrize("power", [1, 2])
def test_hinge(power: int) -> None:
    loss = losses.hinge if power == 1 else losses.squared_hinge
    check_loss(loss, lambda z, t: np.maximum(0, 1 - t * z) ** power, Z, SIGNS)


@pytest.mark.parametrize("loss", [losses.binary_cross_entropy, losses.focal])
def test_targets_may_be_integers_or_masks_and_lack_the_last_axis(loss: Any) -> None:
    z, y = Z[:, :1], np.arange(8) % 2
    expected = loss(z, y[:, None].astype(float), "none")
    for target in (y, y[:, None], y.astype(bool), y.astype(np.uint8)):
        np.testing.assert_array_equal(loss(z, target, "none"), expected)


# Extremes


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("options", [{}, {"pos_weight": 3.0}, {"weight": 0.25}], ids=str)
def test_binary_cross_entropy_of_sure_logits_keeps_its_digits(
    dtype: str, target: float, options: dict[str, float]
) -> None:
    z = np.array(EXTREMES, dtype)
    t = np.full_like(z, target)
    factor = options.get("weight", 1.0) * (options.get("pos_weight", 1.0) if target else 1.0)
    wide = z.astype(np.float64)
    limits = {"rtol": 16 * np.finfo(dtype).eps, "atol": np.finfo(dtype).tiny}
    value = losses.binary_cross_entropy(z, t, "none", **options)
    np.testing.assert_allclose(value, factor * _cross_entropy(wide, np.full(z.shape, target)), **limits)
    sigmoid = np.exp(_log_sigmoid(wide))
    missing = factor * (sigmoid if target == 0 else -np.exp(_log_sigmoid(-wide)))
    slope = slopes(losses.binary_cross_entropy, z, t, **options)
    rounding = {"rtol": limits["rtol"], "atol": 4 * factor * np.finfo(dtype).eps}  # sigmoid(z) - 1
    np.testing.assert_allclose(slope, missing, **rounding)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("gamma", [0, 0.01, 0.5, 1, 1.5, 2, 5])
def test_focal_of_sure_logits_is_finite_and_right(dtype: str, target: float, gamma: float) -> None:
    z = np.array(EXTREMES, dtype)
    t = np.full_like(z, target)
    value, slope = losses.focal(z, t, "none", gamma=gamma), slopes(losses.focal, z, t, gamma=gamma)
    want = _focal(z.astype(np.float64), np.full(z.shape, target), 0.25, gamma)
    assert np.isfinite(value).all()
    np.testing.assert_allclose(value, want, rtol=256 * np.finfo(dtype).eps, atol=1e-30)
    assert np.isfinite(slope).all()
    share = 0.25 * target + 0.75 * (1 - target)
    ends = share * np.array([-target, 1 - target]) * (0.5**gamma if target == 0.5 else 1)
    np.testing.assert_allclose(slope[[0, -1]], ends, rtol=16 * np.finfo(dtype).eps, atol=1e-30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hinge_of_extremes(dtype: str) -> None:
    z = np.array(EXTREMES, dtype)
    tiny = np.abs(z) < 1e-30  # 1 - t·z is 1
    for sign in (-1, 1):
        t = np.full_like(z, sign)
        np.testing.assert_allclose(losses.hinge(z, t, "none"), np.maximum(0, 1 - sign * z), rtol=1e-6)
        np.testing.assert_array_equal(losses.squared_hinge(z, t, "none")[tiny], 1)
        np.testing.assert_array_equal(slopes(losses.hinge, z, t), np.where(sign * z < 1, -sign, 0))
        expected = np.where(sign * z < 1, -2 * sign * (1 - sign * z), 0)
        np.testing.assert_allclose(slopes(losses.squared_hinge, z, t), expected, rtol=1e-6)
    np.testing.assert_array_equal(slopes(losses.hinge, np.array([1.0]), np.array([1.0])), [0])


# Bad arguments


@pytest.mark.parametrize(
    ("loss", "options", "error", "message"),
    [
        ("focal", {"alpha": 1.5}, ValueError, r"focal: alpha must be in \[0, 1\], got 1.5"),
        ("focal", {"alpha": -0.1}, ValueError, r"focal: alpha must be in \[0, 1\], got -0.1"),
        ("focal", {"alpha": np.nan}, ValueError, r"focal: alpha must be in \[0, 1\], got nan"),
        ("focal", {"gamma": -1}, ValueError, "focal: gamma must be finite and at least 0, got -1"),
        ("focal", {"gamma": True}, TypeError, "focal: gamma must be a number, got True"),
        (
            "binary_cross_entropy",
            {"pos_weight": -1},
            ValueError,
            ".*pos_weight must be finite",
        ),
        ("binary_cross_entropy", {"weight": [1, np.nan, 1]}, ValueError, ".*weight must be finite.* got nan"),
        ("binary_cross_entropy", {"weight": [1, 2]}, ValueError, r".*weight of shape \(2,\) does not broad"),
        ("binary_cross_entropy", {"weight": np.ones((2, 8, 3))}, ValueError, r".*shape \(2, 8, 3\) does not"),
        ("binary_cross_entropy", {"weight": "1"}, TypeError, ".*weight: expected numbers"),
        ("binary_cross_entropy", {"weight": [True] * 3}, TypeError, ".*weight must hold numbers, got bool"),
        ("hinge", {"reduction": "avg"}, ValueError, 'hinge: reduction must be "mean", "sum" or "none"'),
        ("focal", {"reduction": "avg"}, ValueError, 'focal: reduction must be "mean", "sum" or "none"'),
    ],
)
def test_settings_out_of_range_raise(
    loss: str, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"^(binary_cross_entropy: )?{message}"):
        getattr(losses, loss)(Z, SIGNS, **options)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "focal", "hinge", "squared_hinge"])
def test_wrong_shapes_raise(loss: str) -> None:
    with pytest.raises(ValueError, match=rf"^{loss}: the prediction has shape \(8, 3\), the target \(8,\)"):
        getattr(losses, loss)(Z, SIGNS[:, 0])
    with pytest.raises(TypeError, match=f"^{loss}: the prediction must hold floats"):
        getattr(losses, loss)(np.arange(3), np.ones(3, int))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
@pytest.mark.parametrize("target", [[0, 1], [0.0, 1.0], [False, True], [1, 2]])
def test_hinge_refuses_targets_other_than_signs(loss: str, target: Any) -> None:
    with pytest.raises(ValueError, match=f"^{loss}: targets are -1 and 1, got"):
        getattr(losses, loss)(np.zeros(2), np.array(target))


@pytest.mark.parametrize("loss", ["focal", "binary_cross_entropy"])
def test_losses_of_logits_refuse_probabilities(loss: str) -> None:
    with pytest.raises(ValueError, match=f"^{loss} takes logits; leave the sigmoid out"):
        bp.grad(lambda z: getattr(losses, loss)(ops.sigmoid(z), T))(Z)


@pytest.mark.parametrize(
    "view", [lambda p: p[:, 0], lambda p: ops.reshape(p, (-1,))[8:16], lambda p: p[2:, None, 1]]
)
def test_probabilities_are_seen_in_another_shape(view: Any) -> None:
    with pytest.raises(ValueError, match="^binary_cross_entropy takes logits; leave the sigmoid out"):
        bp.grad(lambda z: losses.binary_cross_entropy(view(ops.sigmoid(z)), view(T)))(Z)
    bp.grad(lambda z: losses.binary_cross_entropy(view(3 * ops.sigmoid(z)), view(T)))(Z)


# In a trainer


@pytest.mark.parametrize(
    ("loss", "target", "message"),
    [
        ("focal", [0, 2], r"targets of focal lie in \[0, 1\], got 0 to 2"),
        ("focal", [-0.5, 1], r"targets of focal lie in \[0, 1\], got -0.5 to 1"),
        ("hinge", [0, 1], r"targets of hinge are -1 and 1, got 0; for y of 0 and 1, give 2 \* y - 1"),
        ("squared_hinge", [False, True], "targets of squared_hinge are -1 and 1, got False"),
    ],
)
def test_a_trainer_refuses_targets_out_of_range(loss: str, target: Any, message: str) -> None:
    trainer = bp.Trainer(network(1, in_features=3), loss)
    with pytest.raises(ValueError, match=f"^fit: {message}"):
        trainer.fit(Z[:2], target, epochs=1, progress=False)
    assert trainer.steps == 0


@pytest.mark.parametrize("loss", ["focal", losses.focal, "hinge", "squared_hinge"])
def test_accuracy_is_of_each_output_against_0(loss: Any) -> None:
    trainer = bp.Trainer(network(3, in_features=3), loss, metrics=["accuracy"], dtype="float64")
    trainer.parameters["0.weight"][...] = np.eye(3)
    signs = SIGNS if "hinge" in str(loss) else (SIGNS > 0).astype(int)
    assert trainer.evaluate(Z, signs, batch_size=3)["accuracy"] == pytest.approx(
        ((Z > 0) == (SIGNS > 0)).mean()
    )


def test_several_labels_are_learned_at_once() -> None:
    x = np.random.default_rng(0).normal(size=(200, 4))
    y = np.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0, x[:, 3] < 0], axis=1)
    model = nn.Sequential(nn.Dense(3, in_features=4))
    trainer = bp.Trainer(model, "binary_cross_entropy", bp.optim.Adam(0.05), metrics=["accuracy"])
    trainer.fit(x, y, epochs=20, progress=False)
    assert trainer.evaluate(x, y)["accuracy"] > 0.95
