"""Callbacks: what may happen between the steps of `Trainer.fit`."""

from bpcore.callbacks.base import Callback
from bpcore.callbacks.checkpoint import Checkpoint
from bpcore.callbacks.early_stopping import EarlyStopping
from bpcore.callbacks.gradients import GradientHealth
from bpcore.callbacks.plateau import ReduceLROnPlateau

__all__ = ["Callback", "Checkpoint", "EarlyStopping", "GradientHealth", "ReduceLROnPlateau"]
