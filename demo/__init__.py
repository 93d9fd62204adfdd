"""The demo model family: a tiny, trained Stable Diffusion 1.x that generates colored shapes, and the scripts that train it."""
