"""Trainers, and runs of `fit`, as safetensors files."""

from bpcore.checkpoint.run import RunState
from bpcore.checkpoint.trainer import read, read_run, save

__all__ = ["RunState", "read", "read_run", "save"]
