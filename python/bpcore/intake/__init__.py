"""What `Trainer`'s methods are given, checked and in order before anything is changed."""

from bpcore.intake.samples import (
    Samples,
    Signature,
    check_indices,
    check_labels,
    inputs_of,
    samples,
    split_at,
)

__all__ = ["Samples", "Signature", "check_indices", "check_labels", "inputs_of", "samples", "split_at"]
