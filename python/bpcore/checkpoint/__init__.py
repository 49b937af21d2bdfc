"""Trainers, and runs of `fit`, as safetensors files."""

from bpcore.checkpoint.run import RunState
from bpcore.checkpoint.trainer import Resumed, read, read_run, save
from bpcore.checkpoint.undo import undo_of_begin, undo_of_restore

__all__ = ["Resumed", "RunState", "read", "read_run", "save", "undo_of_begin", "undo_of_restore"]
