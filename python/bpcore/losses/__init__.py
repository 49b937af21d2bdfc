"""Losses: functions of (prediction, target), on tensors or arrays.

`reduction` is "mean" (over every element that carries a loss), "sum", or "none": the loss of each element.
Formulas and argument names are PyTorch's, where it has the loss. Integer and bool targets become floats where
the formula needs them; nothing is broadcast, but a target may lack the prediction's last axis if that has
size 1. Where elements have weights, by their class or because some classes are ignored, the mean is Σwℓ / Σw,
and 0, with a derivative of 0, if Σw is 0.

A trainer takes losses by name, and `functools.partial` of one for other settings, as
``partial(losses.huber, delta=2.0)``: both are sums over all elements, divided by their weights. `Weighted` is
for functions of one's own that want the same.
"""

from bpcore.losses.binary import binary_cross_entropy, focal, hinge, squared_hinge
from bpcore.losses.classes import cross_entropy, multi_margin, nll
from bpcore.losses.common import Reduction, Weighted, matched, weighted_mean
from bpcore.losses.distributions import gaussian_nll, kl_divergence, poisson_nll
from bpcore.losses.embedding import cosine_similarity, triplet_margin
from bpcore.losses.known import Loss, Resolved, resolve
from bpcore.losses.regression import huber, log_cosh, mae, mse, quantile, smooth_l1
from bpcore.losses.sequences import ctc

__all__ = [
    "Loss", "Reduction", "Resolved", "Weighted", "binary_cross_entropy", "cosine_similarity", "cross_entropy",
    "ctc", "focal", "gaussian_nll", "hinge", "huber", "kl_divergence", "log_cosh", "mae", "matched", "mse",
    "multi_margin", "nll", "poisson_nll", "quantile", "resolve", "smooth_l1", "squared_hinge",
    "triplet_margin", "weighted_mean",
]  # fmt: skip
