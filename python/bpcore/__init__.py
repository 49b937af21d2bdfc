"""bpcore: a backpropagation core. Models are described in Python and trained natively."""

from bpcore import (
    activations,
    callbacks,
    data,
    decoding,
    losses,
    metrics,
    nn,
    ops,
    optim,
    runtime,
    schedules,
)
from bpcore.autodiff import grad, value_and_grad
from bpcore.gradcheck import GradientError, check_gradients
from bpcore.health import Health, HealthWarning
from bpcore.history import History
from bpcore.tensor import Tensor
from bpcore.tracing import training
from bpcore.trainer import Trainer

__version__ = "0.1.0"

__all__ = [
    "GradientError",
    "Health",
    "HealthWarning",
    "History",
    "Tensor",
    "Trainer",
    "activations",
    "callbacks",
    "check_gradients",
    "data",
    "decoding",
    "grad",
    "losses",
    "metrics",
    "nn",
    "ops",
    "optim",
    "runtime",
    "schedules",
    "training",
    "value_and_grad",
]
