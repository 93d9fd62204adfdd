"""What the background cluster runs, named by string in the queue."""

from models_registry import scan as scanning


def scan() -> str:
    return scanning.scan().summary()
