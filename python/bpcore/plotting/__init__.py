"""Plots, with matplotlib (the extra ``plot``), which is imported when something is drawn."""

from bpcore.plotting.confusion import plot_confusion
from bpcore.plotting.health import plot_health
from bpcore.plotting.history import plot_history
from bpcore.plotting.predictions import plot_predictions
from bpcore.plotting.rates import plot_learning_rates

__all__ = ["plot_confusion", "plot_health", "plot_history", "plot_learning_rates", "plot_predictions"]
