"""Errors of a run request. Messages are safe to show to clients."""


class InvalidRequest(ValueError):
    """The request cannot be executed. The message is safe to show to clients."""


class NonFiniteOutput(ArithmeticError):
    """A model returned NaN or infinite values."""


class ModelUnavailable(Exception):
    """A model file is missing, damaged, or of another kind. The message is safe to show to clients."""
