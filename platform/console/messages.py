"""What the console tells its users after a deed. Everywhere else nobody reads it, and preparing for it costs every call."""

from __future__ import annotations

from django.contrib.messages.middleware import MessageMiddleware
from django.http import HttpRequest

from console.audit.middleware import PREFIX


class ConsoleMessages(MessageMiddleware):
    def process_request(self, request: HttpRequest) -> None:
        if request.path.startswith(PREFIX):
            super().process_request(request)
