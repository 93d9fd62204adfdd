"""What is wrong with an order."""


class BadOrder(ValueError):
    """The message is fit for the client's eyes."""
