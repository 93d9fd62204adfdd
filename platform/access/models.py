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
from access.encryption import EncryptedTextField
from access.limits import KeyLimits, SourceLimits
from access.networks import is_network
from access.retention import Retention

__all__ = ["Account", "Posting", "RateBucket"]  # Django looks for an app's models here


PLACE = re.compile(r"\.?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)


def _is_place(text: object) -> bool:
    return isinstance(text, str) and (is_network(text) or PLACE.fullmatch(text) is not None)


class NsfwPolicy(models.TextChoices):
    """What becomes of pictures that are unfit to be shown, from the mildest to the strictest."""

    OFF = "off", _("not checked")
    FLAG = "flag", _("marked")
    BLUR = "blur", _("blurred")
    BLANK = "blank", _("blanked out")
    REFUSE = "refuse", _("refused: the job fails")


class BusinessSource(SourceLimits, Retention):
    """A tenant: the value of ``from``. Owns keys, limits and weight."""

    name = models.CharField(
        _("name"),
        max_length=64,
        unique=True,
        validators=[RegexValidator(r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")],
        help_text=_("What requests give as their source; letters, digits, dot, dash and underscore."),
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    weight = models.FloatField(
        _("weight"),
        default=1.0,
        validators=[MinValueValidator(0.01), MaxValueValidator(1000)],
        help_text=_("Share of the runners' time among sources that are waiting."),
    )
    reachable = models.JSONField(
        _("reachable places"),
        default=list,
        blank=True,
        help_text=_(
            "Hosts and networks outside of the public internet that its pictures may come from and its "
            'callbacks may go to: ["images.example.lan", ".example.lan", "10.1.0.0/16"].'
        ),
    )
    keyless_networks = models.JSONField(
        _("networks without a key"),
        default=list,
        blank=True,
        help_text=_(
            "Who calls from there needs no key where a dialect has none, as the SMZDM API: "
            '["10.1.0.0/16"]. Empty: nobody. Behind a proxy every caller has the proxy\'s address.'
        ),
    )
    comfyui_by_pipeline = models.BooleanField(
        _("pipeline for ComfyUI"),
        default=False,
        help_text=_(
            "While no ComfyUI runner is registered, requests for that backend are drawn by the pipeline "
            "instead of being refused."
        ),
    )
    public_pictures = models.BooleanField(
        _("public pictures"),
        default=False,
        help_text=_("The URLs of its pictures do not expire. Unset, they all end as such."),
    )
    strict = models.BooleanField(
        _("strict"),
        default=False,
        help_text=_(
            "What A1111 would pass over in silence, as an unknown sampler, style or LoRA, is refused "
            "instead of noted among the warnings."
        ),
    )
    nsfw_policy = models.CharField(
        _("NSFW pictures"),
        max_length=8,
        choices=NsfwPolicy,
        default=NsfwPolicy.OFF,
        help_text=_(
            "The least that is done with them; a request may ask for more. Needs a detector in the registry."
        ),
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
        if not isinstance(self.reachable, list) or not all(map(_is_place, self.reachable)):
            raise ValidationError({"reachable": _("A list of names of hosts and of networks.")})
        if not isinstance(self.keyless_networks, list) or not all(map(is_network, self.keyless_networks)):
            raise ValidationError({"keyless_networks": _("A list of networks, as 10.0.0.0/8.")})


class Membership(models.Model):
    """Ties a user of the console to a source. Who has any sees those sources' rows and nothing else."""

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
    """Signs a source's callbacks. Apart from the source, which is read at every request."""

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
        """A new secret in place of any before it; shown this once."""
        secret = secrets.token_urlsafe(32)
        cls.objects.update_or_create(source=source, defaults={"secret": secret, "created_at": timezone.now()})
        return secret


LONGEST_TEMPORARY_MINUTES = 36 * 60


class AccessKey(KeyLimits):
    """A key id that names the caller and a secret that proves it."""

    source = models.ForeignKey(
        BusinessSource, on_delete=models.CASCADE, related_name="keys", verbose_name=_("business source")
    )
    key_id = models.CharField(_("key id"), max_length=64, unique=True, editable=False)
    secret = EncryptedTextField(_("secret"), editable=False)
    # Of a temporary key: whoever uses it has to send this as well.
    session_token = EncryptedTextField(_("session token"), null=True, editable=False)
    note = models.CharField(_("note"), max_length=200, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
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
        """A new key and its secret, which is shown this once."""
        secret = secrets.token_urlsafe(32)
        key = cls(source=source, key_id="ak-" + secrets.token_hex(10), secret=secret, **fields)
        key.full_clean()
        key.save()
        return key, secret

    @classmethod
    def issue_temporary(cls, source: BusinessSource, lifetime: timedelta) -> tuple[AccessKey, str, str]:
        """A key that ends by itself, its secret, and the session token that goes with it; both are shown this once."""
        token = "STS" + secrets.token_urlsafe(32)
        key, secret = cls.issue(source, session_token=token, expires_at=timezone.now() + lifetime)
        return key, secret, token

    def proves(self, secret: str) -> bool:
        # surrogatepass: bytes that were no text when they arrived prove nothing, but must not raise either.
        return hmac.compare_digest(self.secret.encode(), secret.encode(errors="surrogatepass"))

    def accepts_token(self, token: str) -> bool:
        """A key without a session token takes none."""
        return hmac.compare_digest((self.session_token or "").encode(), token.encode(errors="surrogatepass"))

    def rotate(self) -> str:
        """A new secret in place of the old one, which proves nothing from now on; shown this once."""
        self.secret = secrets.token_urlsafe(32)
        self.save(update_fields=["secret"])
        return self.secret
