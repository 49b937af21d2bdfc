"""What a module is: its arrays, how they come to be, what a call does, and what is told about it."""

from bpcore.nn.module.module import Module

__all__ = ["Module"]
