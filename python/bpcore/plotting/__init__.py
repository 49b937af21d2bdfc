"""Plots, with matplotlib (``pip install bpcore[plot]``), which is imported when something is drawn."""

from bpcore.plotting.health import plot_health
from bpcore.plotting.history import plot_history

__all__ = ["plot_health", "plot_history"]
