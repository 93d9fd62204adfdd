"""Formats of dates by language, where they are not those of Django."""
