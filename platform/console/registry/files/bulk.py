"""Changes of several model files at once: tags, commercial use, access, and another inspection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import BadRequest, PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django_q.tasks import async_task
from unfold.widgets import UnfoldAdminSelectWidget

from access.models import BusinessSource
from console.admin_base.action_form import ActionForm, action_page
from console.admin_base.base import ConsoleAdmin
from console.admin_base.fields import WordsField
from models_registry.facts.card import MAX_TAG, MAX_TAGS, is_tag_list
from models_registry.models import CommercialUse, ModelFile

MAX_FILES = 500
UNCHANGED: tuple[str, Any] = ("", gettext_lazy("unchanged"))
ALL = "all"


class BulkForm(ActionForm):
    add_tags = WordsField(
        label=gettext_lazy("add tags"), required=False, help_text=gettext_lazy("Separated by commas.")
    )
    remove_tags = WordsField(label=gettext_lazy("remove tags"), required=False)
    commercial_use = forms.ChoiceField(
        label=gettext_lazy("commercial use"),
        required=False,
        choices=[UNCHANGED, *CommercialUse.choices],
        widget=UnfoldAdminSelectWidget,
    )
    access = forms.ChoiceField(
        label=gettext_lazy("business sources that may use the files"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=gettext_lazy("A source is added to those of a file that is restricted to some."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        sources = [(str(source.pk), str(source)) for source in BusinessSource.objects.only("name", "title")]
        self.fields["access"].choices = [UNCHANGED, (ALL, _("all sources")), *sources]  # type: ignore[attr-defined]

    def clean_add_tags(self) -> list[str]:
        tags: list[str] = self.cleaned_data["add_tags"]
        if not is_tag_list(tags):
            words = {"count": MAX_TAGS, "length": MAX_TAG}
            raise forms.ValidationError(
                _("Must be at most %(count)d words of at most %(length)d characters.") % words
            )
        return tags

    def changes(self) -> list[Callable[[ModelFile], None]]:
        """Functions that change a file, without saving it."""
        values, found = self.cleaned_data, []
        if values["add_tags"] or values["remove_tags"]:
            found.append(lambda file: _retag(file, values["add_tags"], values["remove_tags"]))
        if values["commercial_use"]:
            found.append(lambda file: _set(file, "commercial_use", values["commercial_use"]))
        if values["access"]:
            found.append(lambda file: _allow(file, values["access"]))
        return found


def _set(file: ModelFile, name: str, value: Any) -> None:
    setattr(file, name, value)
    file.mark_edited([name])


def _retag(file: ModelFile, add: list[str], remove: list[str]) -> None:
    kept = [tag for tag in file.tags if tag not in remove]
    _set(file, "tags", list(dict.fromkeys([*kept, *add]))[:MAX_TAGS])


def _allow(file: ModelFile, choice: str) -> None:
    """Open a file to all sources, or restrict it to one beside those that it is restricted to already."""
    if choice == ALL:
        file.allowed_sources.clear()
    else:
        file.allowed_sources.add(int(choice))


class BulkMixin(ConsoleAdmin):
    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_bulk"
        return [path("bulk/", self.admin_site.admin_view(self.bulk), name=name), *super().get_urls()]

    @admin.action(
        description=gettext_lazy("Change tags, commercial use or access of the selected files"),
        permissions=["change"],
    )
    def change_several(self, request: HttpRequest, files: QuerySet[ModelFile]) -> HttpResponse | None:
        ids = list(files.values_list("pk", flat=True)[: MAX_FILES + 1])
        if len(ids) > MAX_FILES:
            limit = {"limit": MAX_FILES}
            self.message_user(request, _("Select at most %(limit)d files.") % limit, messages.ERROR)
            return None
        page = reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_bulk")
        return HttpResponseRedirect(f"{page}?ids={','.join(map(str, ids))}")

    @admin.action(
        description=gettext_lazy("Inspect the selected files again"),
        permissions=["change"],
    )
    def inspect_again(self, request: HttpRequest, files: QuerySet[ModelFile]) -> None:
        ids = list(files.values_list("pk", flat=True)[:MAX_FILES])
        async_task("models_registry.tasks.inspect_again", ids, task_name="inspect_models")
        self.message_user(request, _("The inspection of %d files is queued.") % len(ids))

    def bulk(self, request: HttpRequest) -> HttpResponse:
        if not self.has_change_permission(request):
            raise PermissionDenied
        files = self.get_queryset(request).filter(pk__in=_ids(request))
        form = BulkForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            changes = form.changes()
            if changes:
                self._apply(request, files, changes)
                page = f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"
                return HttpResponseRedirect(reverse(page))
            form.add_error(None, _("Choose what to change."))
        count = files.count()
        title = ngettext("Change %d file", "Change %d files", count) % count
        names = ", ".join(files.order_by("name").values_list("name", flat=True)[:10])
        return action_page(request, title, _("Change"), form=form, text=f"{names} …" if count > 10 else names)

    def _apply(
        self, request: HttpRequest, files: QuerySet[ModelFile], changes: list[Callable[[ModelFile], None]]
    ) -> None:
        with transaction.atomic():
            changed = list(files.select_for_update().order_by("pk"))
            for file in changed:
                for change in changes:
                    change(file)
                file.save(update_fields=["tags", "commercial_use", "edited_fields"])
                self.log_change(request, file, "changed with others")
        self.message_user(request, _("Files changed: %d") % len(changed), messages.SUCCESS)


def _ids(request: HttpRequest) -> list[int]:
    parts = request.GET.get("ids", "").split(",")
    if len(parts) > MAX_FILES or not all(
        part.isascii() and part.isdigit() and len(part) < 19 for part in parts
    ):
        raise BadRequest("invalid ids")
    return [int(part) for part in parts]
