"""What `Trainer`'s methods are given, checked and in order before anything is changed."""

from bpcore.intake.augmented import Augmented
from bpcore.intake.batches import Batches, Feed, is_batches
from bpcore.intake.groups import Group, Keys
from bpcore.intake.labels import check_indices, check_labels
from bpcore.intake.reader import Reader
from bpcore.intake.samples import Samples, Signature, check_finite, samples

__all__ = [
    "Augmented",
    "Batches",
    "Feed",
    "Group",
    "Keys",
    "Reader",
    "Samples",
    "Signature",
    "check_finite",
    "check_indices",
    "check_labels",
    "is_batches",
    "samples",
]
