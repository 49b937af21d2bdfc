"""From a model's probabilities to sequences: token by token, or from the frames of `losses.ctc`.

What decodes token by token calls a function ``step(tokens, state)`` with all tokens so far, integers (n, t),
and what it returned as `state` the last time. It returns logits (or log-probabilities) of the next token,
(n, vocabulary), and the new state. A model of whole prefixes needs no state::

    def step(tokens, state):                      # at most 64 tokens, so that all calls have one shape
        padded = np.zeros((len(tokens), 64), int)
        padded[:, : tokens.shape[1]] = tokens
        return model(padded)[:, tokens.shape[1] - 1], None

A recurrent one takes the last token and keeps its state, arrays of n rows, in tuples, lists and dicts::

    def step(tokens, state):
        return cell(tokens[:, -1], state)         # logits, (hidden, memory)

`start` holds what the sequences begin with, integers (n,) or (n, t), t ≥ 1. Results hold what comes after.
"""

from bpcore.decoding.alignments import ctc_beam_search, ctc_greedy
from bpcore.decoding.beam import beam_search
from bpcore.decoding.common import Decoded
from bpcore.decoding.distance import edit_distance, error_rate
from bpcore.decoding.single import greedy, sample

__all__ = [
    "Decoded",
    "beam_search",
    "ctc_beam_search",
    "ctc_greedy",
    "edit_distance",
    "error_rate",
    "greedy",
    "sample",
]
