"""Describing and differentiating: symbolic tensors, the trace that they belong to, and derivatives."""

from bpcore.symbolic import operators

__all__ = ["operators"]
