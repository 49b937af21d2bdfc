"""The trainer: a model, what it should learn, and how."""

from bpcore.trainer.trainer import Trainer

__all__ = ["Trainer"]
