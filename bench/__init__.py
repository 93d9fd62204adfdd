"""Benchmarks. Machines are noisy, so every figure that matters is a ratio within one run."""
