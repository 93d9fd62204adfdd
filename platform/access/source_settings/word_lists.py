"""Word lists of a source, by which prompts can be checked before they are sent."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

MAX_WORDS, MAX_WORD_LENGTH = 2000, 100


class WordLists(models.Model):
    """Words that mark a prompt. They are matched in any case; words of letters match whole words only."""

    nsfw_words = models.JSONField(
        _("words of NSFW prompts"),
        default=list,
        blank=True,
        help_text=_("A prompt with one of them is NSFW for the prompt check of stablediffusionapi.com."),
    )
    cp_words = models.JSONField(
        _("words of child abuse"),
        default=list,
        blank=True,
        help_text=_("A prompt with one of them is child abuse for the same check."),
    )

    class Meta:
        abstract = True

    @property
    def has_word_lists(self) -> bool:
        return bool(self.nsfw_words or self.cp_words)

    def check_prompt(self, prompt: str) -> PromptCheck:
        """Check a prompt by both lists."""
        text = unicodedata.normalize("NFKC", prompt)
        found = [_pattern(words).search(text) is not None for words in (self.nsfw_words, self.cp_words)]
        filtered = _pattern([*self.nsfw_words, *self.cp_words]).sub("", text)
        return PromptCheck(is_nsfw=found[0], is_cp=found[1], filtered=_tidied(filtered))

    def clean(self) -> None:
        super().clean()
        for name in ("nsfw_words", "cp_words"):
            words = getattr(self, name)
            if not isinstance(words, list) or len(words) > MAX_WORDS or not all(map(_is_word, words)):
                limits = {"words": MAX_WORDS, "characters": MAX_WORD_LENGTH}
                message = _("Must be a list of at most %(words)d words of at most %(characters)d characters.")
                raise ValidationError({name: message % limits})


@dataclass(frozen=True)
class PromptCheck:
    """Verdict on a prompt. ``filtered``: the prompt without the words of the lists."""

    is_nsfw: bool
    is_cp: bool
    filtered: str


def _is_word(word: object) -> bool:
    return isinstance(word, str) and 0 < len(word.strip()) <= MAX_WORD_LENGTH


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Matches any of the words; nothing if there are none."""
    normal = {unicodedata.normalize("NFKC", word).strip() for word in words}
    # Longer words first, so that "nude art" is found before "nude".
    choices = [_as_pattern(word) for word in sorted(normal, key=lambda word: (-len(word), word)) if word]
    return re.compile("|".join(choices) or r"(?!)", re.IGNORECASE)


def _as_pattern(word: str) -> str:
    """Scripts without spaces between words, such as Chinese, match anywhere."""
    spaced = r"\s+".join(map(re.escape, word.split()))
    # Not \b, which sees no border between Latin and Chinese letters.
    start = r"(?<![A-Za-z0-9_])" if word[0].isascii() and word[0].isalnum() else ""
    end = r"(?![A-Za-z0-9_])" if word[-1].isascii() and word[-1].isalnum() else ""
    return f"{start}{spaced}{end}"


def _tidied(text: str) -> str:
    """The text without the spaces and commas that removed words leave."""
    text = re.sub(r"\s*,(?:\s*,)+", ",", re.sub(r"[ \t]{2,}", " ", text))
    return text.strip(" ,")
