"""What can be seen of a run: its history, its progress, the health of its gradients."""
