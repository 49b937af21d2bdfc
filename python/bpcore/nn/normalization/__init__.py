"""Normalisations: over batches, within samples, of weights, of raw input; and their removal for inference."""

from bpcore.nn.normalization.batch_norm import BatchNorm
from bpcore.nn.normalization.folding import fold_batch_norm
from bpcore.nn.normalization.inputs import Normalize, Rescaling
from bpcore.nn.normalization.per_sample import GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from bpcore.nn.normalization.weight_norm import WeightNorm

__all__ = [
    "BatchNorm",
    "GroupNorm",
    "InstanceNorm",
    "LayerNorm",
    "Normalize",
    "RMSNorm",
    "Rescaling",
    "WeightNorm",
    "fold_batch_norm",
]
