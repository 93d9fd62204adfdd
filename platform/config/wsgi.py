"""The WSGI entry point."""

import os

from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

from .chunked_requests import ChunkedBodies
from .kept_connections import UnreadBodies

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = UnreadBodies(ChunkedBodies(get_wsgi_application(), settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
# WSGI servers do not run Django's system checks; a site with failing checks must not start.
call_command("check")
