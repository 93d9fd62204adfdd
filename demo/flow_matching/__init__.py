"""The demo's flow-matching model: Stable Diffusion 3's architecture with small widths."""
