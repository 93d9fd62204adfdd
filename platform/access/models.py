"""Business sources and their access keys."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.accounts import Account, Posting, RateBucket
from access.addresses.networks import is_network
from access.encryption import EncryptedTextField
from access.source_settings.image_labels import ImageLabels
from access.source_settings.limits import KeyLimits, SourceLimits
from access.source_settings.prompt_modes import PromptModes
from access.source_settings.retention import Retention
from access.source_settings.word_lists import WordLists

__all__ = ["Account", "Posting", "RateBucket"]  # Django looks for an app's models here


HOST = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


def _is_host_or_network(text: object) -> bool:
    return isinstance(text, str) and (is_network(text) or HOST.fullmatch(text) is not None)


class NsfwPolicy(models.TextChoices):
    """What happens to images that are detected as NSFW, from least to most strict."""

    OFF = "off", _("not checked")
    FLAG = "flag", _("flagged")
    BLUR = "blur", _("blurred")
    BLANK = "blank", _("replaced by a blank image")
    REFUSE = "refuse", _("refused: the job fails")


class BusinessSource(SourceLimits, Retention, PromptModes, WordLists, ImageLabels):
    """A tenant, with its access keys, limits and scheduling weight. Its name is the value of ``from`` in requests."""

    name = models.CharField(
        _("name"),
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")],
        help_text=_("Identifies the source in requests. Letters, digits, dot, dash and underscore."),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    weight = models.FloatField(
        _("weight"),
        default=1.0,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000)],
        help_text=_("Share of runner time relative to other sources with queued jobs."),
    )
    reachable = models.JSONField(
        _("reachable hosts"),
        default=list,
        blank=True,
        help_text=_(
            "Hosts and networks outside the public internet from which images may be fetched and to which callbacks "
            'may be sent: ["images.example.lan", ".example.lan", "10.1.0.0/16"].'
        ),
    )
    keyless_networks = models.JSONField(
        _("networks without a key"),
        default=list,
        blank=True,
        help_text=_(
            "Callers from these networks need no key in dialects without keys, such as the SMZDM API: "
            '["10.1.0.0/16"]. Empty: no network. Proxies in front of the platform must be listed in TRUSTED_PROXIES.'
        ),
    )
    comfyui_by_pipeline = models.BooleanField(
        _("pipeline as fallback for ComfyUI"),
        default=False,
        help_text=_(
            "While no ComfyUI runner is registered, run requests for that backend with the diffusers pipeline "
            "instead of refusing them."
        ),
    )
    public_pictures = models.BooleanField(
        _("public images"),
        default=False,
        help_text=_("Image URLs never expire. If off, existing permanent URLs stop working."),
    )
    strict = models.BooleanField(
        _("strict"),
        default=False,
        help_text=_(
            "Refuse what A1111 silently ignores, such as an unknown sampler, style or LoRA, instead of adding a "
            "warning to the response."
        ),
    )
    nsfw_policy = models.CharField(
        _("NSFW policy"),
        max_length=8,
        choices=NsfwPolicy,
        default=NsfwPolicy.OFF,
        help_text=_(
            "Minimum measure; a request may choose a stricter one. Requires an NSFW detector in the registry."
        ),
    )
    trained_file_downloads = models.BooleanField(
        _("may download trained models"),
        default=True,
        help_text=_(
            "Files of LoRAs that the source has trained. Off: they can only be drawn with, and URLs that were given out "
            "end as such."
        ),
    )
    commercial_models_only = models.BooleanField(
        _("only models for commercial use"),
        default=False,
        help_text=_("Refuse model files of any kind whose commercial use is not marked as permitted."),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("business source")
        verbose_name_plural = _("business sources")
        ordering = ["name"]

    def __str__(self) -> str:
        return self.title or self.name

    def clean(self) -> None:
        super().clean()
        if not isinstance(self.reachable, list) or not all(map(_is_host_or_network, self.reachable)):
            raise ValidationError({"reachable": _("Must be a list of host names and networks.")})
        if not isinstance(self.keyless_networks, list) or not all(map(is_network, self.keyless_networks)):
            raise ValidationError({"keyless_networks": _("Must be a list of networks such as 10.0.0.0/8.")})


class Membership(models.Model):
    """Assigns a user of the console to a source. Users with memberships see only the rows of those sources."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="memberships",
        verbose_name=_("user"),
    )
    source = models.ForeignKey(
        BusinessSource,
        on_delete=models.CASCADE,
        related_name="memberships",
        verbose_name=_("business source"),
    )

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=["user", "source"], name="one_membership_per_user_and_source")
        ]

    def __str__(self) -> str:
        return f"{self.user} – {self.source}"


class CallbackSecret(models.Model):
    """Secret that signs a source's callbacks. A table of its own, because sources are read at every request."""

    source = models.OneToOneField(
        BusinessSource,
        on_delete=models.CASCADE,
        primary_key=True,
        related_name="callback_secret",
        verbose_name=_("business source"),
    )
    secret = EncryptedTextField(_("secret"), editable=False)
    created_at = models.DateTimeField(_("created"), default=timezone.now)

    class Meta:
        verbose_name = _("callback secret")
        verbose_name_plural = _("callback secrets")

    def __str__(self) -> str:
        return str(self.source_id)

    @classmethod
    def issue(cls, source: BusinessSource) -> str:
        """Replace the source's secret and return the new one."""
        secret = secrets.token_urlsafe(32)
        cls.objects.update_or_create(source=source, defaults={"secret": secret, "created_at": timezone.now()})
        return secret


MAX_TEMPORARY_KEY_MINUTES = 36 * 60


class AccessKey(KeyLimits):
    """Credentials of a client: a public key id and a secret."""

    source = models.ForeignKey(
        BusinessSource, on_delete=models.CASCADE, related_name="keys", verbose_name=_("business source")
    )
    key_id = models.CharField(_("key id"), max_length=64, unique=True, editable=False)
    secret = EncryptedTextField(_("secret"), editable=False)
    # Temporary keys only: requests must send this token as well.
    session_token = EncryptedTextField(_("session token"), null=True, editable=False)
    note = models.CharField(_("note"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    manages_models = models.BooleanField(
        _("manages models"),
        default=False,
        help_text=_(
            "Requests with this key may load model files from URLs for their source, disable those again, and free "
            "the memory of the runners."
        ),
    )
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("access key")
        verbose_name_plural = _("access keys")
        ordering = ["source__name", "key_id"]

    def __str__(self) -> str:
        return self.key_id

    @classmethod
    def issue(cls, source: BusinessSource, **fields: object) -> tuple[AccessKey, str]:
        """Create a key; return it with its secret. Raises ValidationError for invalid ``fields``."""
        secret = secrets.token_urlsafe(32)
        key = cls(source=source, key_id="ak-" + secrets.token_hex(10), secret=secret, **fields)
        key.full_clean()
        key.save()
        return key, secret

    @classmethod
    def issue_temporary(cls, source: BusinessSource, lifetime: timedelta) -> tuple[AccessKey, str, str]:
        """Create a key that expires; return it with its secret and its session token."""
        token = "STS" + secrets.token_urlsafe(32)
        key, secret = cls.issue(source, session_token=token, expires_at=timezone.now() + lifetime)
        return key, secret, token

    def proves(self, secret: str) -> bool:
        """Whether ``secret`` is the key's secret, compared in constant time."""
        # surrogatepass: input that was not valid UTF-8 must compare unequal instead of raising.
        return hmac.compare_digest(self.secret.encode(), secret.encode(errors="surrogatepass"))

    def accepts_token(self, token: str) -> bool:
        """Whether ``token`` is the key's session token; a key without one accepts only the empty string."""
        return hmac.compare_digest((self.session_token or "").encode(), token.encode(errors="surrogatepass"))

    def rotate(self) -> str:
        """Replace the secret and return the new one. The old secret becomes invalid immediately."""
        self.secret = secrets.token_urlsafe(32)
        self.save(update_fields=["secret"])
        return self.secret
