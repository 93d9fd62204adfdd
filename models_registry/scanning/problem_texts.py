"""Problems of files that the inspection does not explain further, in the language of the process that scans."""

from __future__ import annotations

import re

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override

TEXTS = {
    "denied": _("Permission denied when reading the file."),
    "format": _("Files of the format %(suffix)s are not supported."),
    "failed": _("The inspection failed; see the log."),
}


def is_text_of(name: str, problem: str) -> bool:
    """Whether a stored problem is this one, in any language of the platform."""
    return any(_pattern(name, language).fullmatch(problem) for language, _label in settings.LANGUAGES)


def _pattern(name: str, language: str) -> re.Pattern[str]:
    with override(language):
        before, _placeholder, after = str(TEXTS[name]).partition("%(suffix)s")
    between = ".*" if after else ""
    return re.compile(re.escape(before) + between + re.escape(after))
