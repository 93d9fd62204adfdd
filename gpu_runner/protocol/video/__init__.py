"""Videos: their media types."""
