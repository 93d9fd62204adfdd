"""Capsules: everything that is needed to draw an output again, and the comparison of the result with the original."""
