"""What the tests share: one check for ops, references in float64 NumPy, drawn inputs, small graphs."""
