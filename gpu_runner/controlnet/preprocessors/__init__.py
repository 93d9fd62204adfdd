"""Preprocessors: the maps that ControlNets are given of an image. No torch here: the ComfyUI adapter runs without it."""
