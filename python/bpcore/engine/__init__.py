"""What a trainer runs: what is computed for a batch, by plans that are kept, for many steps at a time."""
