"""Layers and what they are made of."""

from bpcore.nn import init
from bpcore.nn.activations import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    HardSigmoid,
    HardSwish,
    HardTanh,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    SwiGLU,
    Tanh,
    Tanhshrink,
)
from bpcore.nn.containers import Sequential
from bpcore.nn.dense import Dense
from bpcore.nn.module import Module
from bpcore.nn.parameter import Parameter, State

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Dense",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "LeakyReLU",
    "LogSoftmax",
    "Mish",
    "Module",
    "PReLU",
    "Parameter",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "State",
    "SwiGLU",
    "Tanh",
    "Tanhshrink",
    "init",
]
