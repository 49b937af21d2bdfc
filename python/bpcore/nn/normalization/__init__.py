"""Normalisations: over batches, within samples, of weights, of raw input; and their removal for inference."""
