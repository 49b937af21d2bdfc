"""Layers and what they are made of."""

from bpcore.nn import init
from bpcore.nn.activations import Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from bpcore.nn.batch_norm import BatchNorm
from bpcore.nn.containers import Sequential
from bpcore.nn.dense import Dense
from bpcore.nn.folding import fold_batch_norm
from bpcore.nn.module import Module
from bpcore.nn.noise import AlphaDropout, Dropout, GaussianNoise
from bpcore.nn.norm import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bpcore.nn.parameter import Parameter, State
from bpcore.nn.penalties import L1, L1L2, L2, MaxNorm, NonNegative
from bpcore.nn.weight_norm import WeightNorm

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "AlphaDropout",
    "BatchNorm",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "GroupNorm",
    "Identity",
    "InstanceNorm",
    "LayerNorm",
    "LogSoftmax",
    "MaxNorm",
    "Module",
    "NonNegative",
    "Parameter",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "State",
    "Tanh",
    "WeightNorm",
    "fold_batch_norm",
    "init",
]
