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
from bpcore.symbolic.autodiff import grad, value_and_grad
from bpcore.symbolic.gradcheck import GradientError, check_gradients
from bpcore.symbolic.tensor import Tensor
from bpcore.symbolic.tracing import training
from bpcore.trainer import Trainer
from bpcore.watching.health import Health, HealthWarning
from bpcore.watching.history import History

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
