"""The torch side: protocol, engine and server. Imports nothing of the platform."""

__version__ = "0.1.0"
