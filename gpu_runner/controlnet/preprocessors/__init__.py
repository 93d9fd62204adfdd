"""ControlNet preprocessors: image -> control map. Modules without a network do not import torch."""
