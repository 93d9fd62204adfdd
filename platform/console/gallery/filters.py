"""Filters of the gallery: the form, and the jobs and outputs that match it.

Filters by source, key, dialect, checkpoint and date use indexes of the job table. The others (LoRA, words, size, rating)
have none: ``pages`` limits the number of jobs that they are applied to at a time.
"""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import AccessKey, BusinessSource
from access.tenancy import visible_sources
from jobs.api_reference.dialects import names as dialect_names
from jobs.models import Job, Output, OutputKind
from jobs.selectors import with_prompt_words
from models_registry.models import Kind, ModelFile

MAX_SUGGESTIONS = 200
MEGAPIXEL = 1_000_000
SIZES: dict[str, tuple[Any, Q]] = {
    "small": (_("up to 0.5 megapixels"), Q(pixels__lte=MEGAPIXEL // 2)),
    "medium": (_("0.5 to 1.5 megapixels"), Q(pixels__gt=MEGAPIXEL // 2, pixels__lte=MEGAPIXEL * 3 // 2)),
    "large": (_("more than 1.5 megapixels"), Q(pixels__gt=MEGAPIXEL * 3 // 2)),
    "portrait": (_("portrait"), Q(height__gt=F("width"))),
    "landscape": (_("landscape"), Q(width__gt=F("height"))),
    "square": (_("square"), Q(width=F("height"))),
}
RATINGS: dict[str, tuple[Any, Q]] = {
    "nsfw": (_("NSFW"), Q(nsfw=True)),
    "safe": (_("not NSFW"), Q(nsfw=False)),
    "unchecked": (_("not checked"), Q(nsfw=None)),
}
ANY = ("", _("all"))


class GalleryFilters(forms.Form):
    """Filters of the gallery, as the user may use them. An invalid form matches nothing."""

    words = forms.CharField(label=_("words of the prompt"), max_length=200, required=False)
    source = forms.ModelChoiceField(
        label=_("business source"),
        queryset=BusinessSource.objects.none(),
        required=False,
        empty_label=_("all"),
    )
    key = forms.CharField(label=_("access key"), max_length=64, required=False)
    dialect = forms.ChoiceField(label=_("dialect"), required=False)
    checkpoint = forms.CharField(label=_("checkpoint"), max_length=255, required=False)
    lora = forms.CharField(label="LoRA", max_length=255, required=False)
    since = forms.DateField(
        label=_("from date"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    until = forms.DateField(
        label=_("to date"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d")
    )
    size = forms.ChoiceField(
        label=_("size"),
        required=False,
        choices=[ANY, *((name, label) for name, (label, _q) in SIZES.items())],
    )
    rating = forms.ChoiceField(
        label=_("rating"),
        required=False,
        choices=[ANY, *((name, label) for name, (label, _q) in RATINGS.items())],
    )
    favorites = forms.BooleanField(label=_("favorites only"), required=False)

    def __init__(self, data: Any, *, user: Any) -> None:
        super().__init__(data)
        self._user = user
        self._visible = visible_sources(user)
        sources = BusinessSource.objects.all() if self._visible is None else self._visible
        self.fields["source"].queryset = sources.order_by("name")  # type: ignore[attr-defined]
        dialects = [(name, name) for name in sorted(dialect_names())]
        self.fields["dialect"].choices = [ANY, *dialects]  # type: ignore[attr-defined]
        for name in ("key", "checkpoint", "lora"):
            self.fields[name].widget.attrs["list"] = f"gallery-{name}"

    @property
    def is_active(self) -> bool:
        return any(self.data.get(name) for name in self.fields)

    def suggestions(self) -> dict[str, list[str]]:
        """Values to choose from, by field: those that the user may see, at most MAX_SUGGESTIONS of each."""
        keys = AccessKey.objects.filter(session_token=None)
        files = ModelFile.objects.order_by("name")
        if self._visible is not None:
            sources = list(self._visible.values_list("pk", flat=True))
            keys = keys.filter(source__in=sources)
            mine = Q(allowed_sources=None) | Q(allowed_sources__in=sources)
            files = files.filter(mine, enabled=True).distinct()
        kinds = {"checkpoint": Kind.CHECKPOINT, "lora": Kind.LORA}
        return {
            "key": list(keys.order_by("key_id").values_list("key_id", flat=True)[:MAX_SUGGESTIONS]),
            **{
                name: list(files.filter(kind=kind).values_list("name", flat=True)[:MAX_SUGGESTIONS])
                for name, kind in kinds.items()
            },
        }

    def jobs(self) -> QuerySet[Job]:
        """Jobs of the user's sources that match the filters with an index."""
        jobs = Job.objects.all()
        if self._visible is not None:
            # A list of ids: see ConsoleAdmin.rows_of.
            jobs = jobs.filter(source__in=list(self._visible.values_list("pk", flat=True)))
        if not self.is_valid():
            return jobs.none()
        given = self.cleaned_data
        if given["source"]:
            jobs = jobs.filter(source=given["source"])
        if given["key"]:
            keys = AccessKey.objects.filter(key_id=given["key"])
            jobs = jobs.filter(key__in=list(keys.values_list("pk", flat=True)))
        if given["dialect"]:
            jobs = jobs.filter(dialect=given["dialect"])
        if given["checkpoint"]:
            files = ModelFile.objects.filter(kind=Kind.CHECKPOINT, name=given["checkpoint"])
            jobs = jobs.filter(checkpoint__in=list(files.values_list("pk", flat=True)))
        if given["since"]:
            jobs = jobs.filter(created_at__gte=_midnight(given["since"]))
        if given["until"]:
            jobs = jobs.filter(created_at__lt=_midnight(given["until"] + timedelta(days=1)))
        if given["favorites"]:
            jobs = jobs.filter(pk__in=self._favorites().values("job"))
        return jobs

    def narrowed(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        """The filters of jobs that have no index."""
        given = self.cleaned_data
        if given["lora"]:
            jobs = jobs.filter(files__has_key=f"{Kind.LORA}:{given['lora']}")
        return with_prompt_words(jobs, given["words"])

    def outputs(self) -> QuerySet[Output]:
        """Images that match the filters of images."""
        outputs = Output.objects.filter(kind=OutputKind.IMAGE)
        given = self.cleaned_data
        if given["size"]:
            outputs = outputs.annotate(pixels=F("width") * F("height")).filter(SIZES[given["size"]][1])
        if given["rating"]:
            outputs = outputs.filter(RATINGS[given["rating"]][1])
        if given["favorites"]:
            outputs = outputs.filter(favorites__user=self._user)
        return outputs

    def _favorites(self) -> QuerySet[Output]:
        return Output.objects.filter(favorites__user=self._user)


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))
