"""Data on its way to a trainer: files, sequences of different lengths, tokens, and what is done to batches.

- `read_idx`, `load_mnist`: IDX, the format of MNIST and its relatives.
- `Vocabulary`: tokens as numbers.
- `pad_sequences`, `bucket_by_length`, `sliding_windows`: arrays and batches of sequences.
- `mixup`: sums of two samples.
- `random_flip`, `random_shift`, `compose`: images that are changed at random.
"""

from bpcore.data.augment import compose, random_flip, random_shift
from bpcore.data.idx import Mnist, load_mnist, read_idx
from bpcore.data.mixing import mixup
from bpcore.data.sequences import bucket_by_length, pad_sequences, sliding_windows
from bpcore.data.vocabulary import Vocabulary

__all__ = [
    "Mnist",
    "Vocabulary",
    "bucket_by_length",
    "compose",
    "load_mnist",
    "mixup",
    "pad_sequences",
    "random_flip",
    "random_shift",
    "read_idx",
    "sliding_windows",
]
