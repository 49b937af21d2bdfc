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
from bpcore.nn.attention import (
    LearnedPositions,
    MultiHeadAttention,
    SinusoidalPositions,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
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
from bpcore.nn.recompute import Recompute
from bpcore.nn.weight_norm import WeightNorm

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "L1",
    "L1L2",
    "L2",
    "SELU",
    "AlphaDropout",
    "BatchNorm",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Identity",
    "InstanceNorm",
    "LayerNorm",
    "LeakyReLU",
    "LearnedPositions",
    "LogSoftmax",
    "MaxNorm",
    "Mish",
    "Module",
    "MultiHeadAttention",
    "NonNegative",
    "PReLU",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Recompute",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Softplus",
    "Softsign",
    "State",
    "SwiGLU",
    "Tanh",
    "Tanhshrink",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "WeightNorm",
    "fold_batch_norm",
    "init",
]
