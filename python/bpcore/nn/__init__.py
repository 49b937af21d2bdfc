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
from bpcore.nn.batch_norm import BatchNorm
from bpcore.nn.containers import Sequential
from bpcore.nn.dense import Dense
from bpcore.nn.folding import fold_batch_norm
from bpcore.nn.module import Module
from bpcore.nn.noise import AlphaDropout, Dropout, GaussianNoise
from bpcore.nn.norm import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bpcore.nn.parameter import Parameter, State
from bpcore.nn.penalties import L1, L1L2, L2, MaxNorm, NonNegative
from bpcore.nn.recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell, scan
from bpcore.nn.weight_norm import WeightNorm

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "L1",
    "L1L2",
    "L2",
    "LSTM",
    "RNN",
    "SELU",
    "AlphaDropout",
    "BatchNorm",
    "Dense",
    "Dropout",
    "GRUCell",
    "GaussianNoise",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "InstanceNorm",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "LogSoftmax",
    "MaxNorm",
    "Mish",
    "Module",
    "NonNegative",
    "PReLU",
    "Parameter",
    "RMSNorm",
    "RNNCell",
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
    "WeightNorm",
    "fold_batch_norm",
    "init",
    "scan",
]
