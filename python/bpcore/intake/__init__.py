"""What `Trainer`'s methods are given, checked and in order before anything is changed."""

from bpcore.intake.augmented import Augmented
from bpcore.intake.batches import Batches, Feed, is_batches, parts
from bpcore.intake.samples import (
    Samples,
    Signature,
    check_finite,
    check_indices,
    check_labels,
    inputs_of,
    samples,
    split_at,
)

__all__ = [
    "Augmented",
    "Batches",
    "Feed",
    "Samples",
    "Signature",
    "check_finite",
    "check_indices",
    "check_labels",
    "inputs_of",
    "is_batches",
    "parts",
    "samples",
    "split_at",
]
