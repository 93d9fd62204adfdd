"""Preprocessors: what a ControlNet is shown of a picture. No torch here: the platform lists and tries them, too."""
