"""The demo model family: a tiny, trained Stable Diffusion 1.x that draws coloured shapes, and the scripts that train it."""
