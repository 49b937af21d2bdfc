"""Layers that slide kernels over signals and images."""

from bpcore.nn.convolution.conv import Conv1D, Conv2D
from bpcore.nn.convolution.depthwise import DepthwiseConv1D, DepthwiseConv2D
from bpcore.nn.convolution.transposed import ConvTranspose1D, ConvTranspose2D

__all__ = [
    "Conv1D",
    "Conv2D",
    "ConvTranspose1D",
    "ConvTranspose2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
]
