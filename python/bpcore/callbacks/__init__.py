"""Callbacks: what may happen between the steps of `Trainer.fit`."""

from bpcore.callbacks.base import Callback
from bpcore.callbacks.checkpoint import Checkpoint
from bpcore.callbacks.csv_logger import CSVLogger
from bpcore.callbacks.early_stopping import EarlyStopping
from bpcore.callbacks.functions import LambdaCallback
from bpcore.callbacks.gradients import GradientHealth
from bpcore.callbacks.learning_rate_finder import LearningRateFinder
from bpcore.callbacks.not_finite import TerminateOnNaN
from bpcore.callbacks.plateau import ReduceLROnPlateau
from bpcore.callbacks.tensor_board import TensorBoard
from bpcore.callbacks.time_limit import TimeLimit

__all__ = [
    "CSVLogger",
    "Callback",
    "Checkpoint",
    "EarlyStopping",
    "GradientHealth",
    "LambdaCallback",
    "LearningRateFinder",
    "ReduceLROnPlateau",
    "TensorBoard",
    "TerminateOnNaN",
    "TimeLimit",
]
