"""Layers with a memory: recurrence over the time axis of (batch, steps, features)."""

from bpcore.nn.recurrent.cells import GRUCell, LSTMCell, RNNCell
from bpcore.nn.recurrent.layers import GRU, LSTM, RNN
from bpcore.nn.recurrent.scan import scan

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "scan"]
