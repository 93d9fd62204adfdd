"""What is wrong with an order."""


class InvalidRequest(ValueError):
    """The message is fit for the client's eyes."""


class NonFiniteOutput(ArithmeticError):
    pass


class ModelUnavailable(Exception):
    """A model file is missing, or is not what it should be. The message is fit for the client's eyes."""
