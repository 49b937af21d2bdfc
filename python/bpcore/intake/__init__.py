"""What `Trainer`'s methods are given, checked and in order before anything is changed."""

from bpcore.intake.groups import Group, Keys
from bpcore.intake.labels import check_indices, check_labels
from bpcore.intake.reader import Reader
from bpcore.intake.samples import Samples, Signature, samples

__all__ = [
    "Group",
    "Keys",
    "Reader",
    "Samples",
    "Signature",
    "check_indices",
    "check_labels",
    "samples",
]
