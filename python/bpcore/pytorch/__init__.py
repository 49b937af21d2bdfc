"""Weights to and from PyTorch, as NumPy arrays or safetensors files; PyTorch itself is not needed.

``from bpcore import pytorch`` loads it: `import bpcore` alone doesn't. Which layer is which, and what
differs, is in docs/pytorch.md.
"""

from bpcore.pytorch.convert import Unmatched, load_state_dict, state_dict

__all__ = ["Unmatched", "load_state_dict", "state_dict"]
