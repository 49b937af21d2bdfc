"""Attention, what transformers are made of, and positions."""

from bpcore.nn.attention.decoder import TransformerDecoder, TransformerDecoderLayer
from bpcore.nn.attention.encoder import TransformerEncoder, TransformerEncoderLayer
from bpcore.nn.attention.multi_head import MultiHeadAttention
from bpcore.nn.attention.positions import LearnedPositions, SinusoidalPositions

__all__ = [
    "LearnedPositions",
    "MultiHeadAttention",
    "SinusoidalPositions",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]
