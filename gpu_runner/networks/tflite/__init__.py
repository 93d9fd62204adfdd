"""TensorFlow Lite models as torch modules."""
