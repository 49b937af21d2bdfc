"""Describing and differentiating: symbolic tensors, the trace that they belong to, and derivatives."""
