"""Benchmarks. Absolute figures vary between machines; compare the ratios measured within one run."""
