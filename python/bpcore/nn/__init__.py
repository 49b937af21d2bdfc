"""Layers and what they are made of."""

from bpcore.nn import init
from bpcore.nn.activations import Identity, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from bpcore.nn.containers import Sequential
from bpcore.nn.dense import Dense
from bpcore.nn.module import Module
from bpcore.nn.noise import AlphaDropout, Dropout, GaussianNoise
from bpcore.nn.parameter import Parameter, State
from bpcore.nn.penalties import L1, L1L2, L2, MaxNorm, NonNegative

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "AlphaDropout",
    "Dense",
    "Dropout",
    "GaussianNoise",
    "Identity",
    "LogSoftmax",
    "MaxNorm",
    "Module",
    "NonNegative",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "State",
    "Tanh",
    "init",
]
