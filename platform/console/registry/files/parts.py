"""VAE and text encoders of a checkpoint, as fields of its page."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelectMultipleWidget, UnfoldAdminSelectWidget

from models_registry.models import ENCODER, Kind, ModelFile
from models_registry.parts import encoder_fits, vae_fits


class CheckpointPartsMixin(forms.ModelForm):
    """Offers the files that fit the checkpoint, and those that are chosen already."""

    vae_file = forms.ModelChoiceField(
        ModelFile.objects.none(),
        label=_("VAE of the checkpoint"),
        required=False,
        widget=UnfoldAdminSelectWidget,
        help_text=_("Used by requests that name none. Empty: that of the file, or the default."),
    )
    text_encoder_files = forms.ModelMultipleChoiceField(
        ModelFile.objects.none(),
        label=_("text encoders of the checkpoint"),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_(
            "One file for each kind, in place of those in the checkpoint. A scan chooses those that it lacks."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, kind, fits in (
            ("vae_file", Kind.VAE, vae_fits),
            ("text_encoder_files", Kind.TEXT_ENCODER, encoder_fits),
        ):
            if name in self.fields:
                files = ModelFile.objects.filter(kind=kind).usable()
                fitting = [file.pk for file in files if fits(self.instance, file)]
                chosen = self.initial.get(name)
                kept = chosen if isinstance(chosen, list) else [chosen]
                pks = [*fitting, *(getattr(one, "pk", one) for one in kept if one)]
                field: Any = self.fields[name]
                field.queryset = ModelFile.objects.filter(pk__in=pks).order_by("name")

    def clean_text_encoder_files(self) -> Any:
        files = self.cleaned_data["text_encoder_files"]
        kinds = [file.metadata.get(ENCODER) for file in files]
        if len(set(kinds)) != len(kinds):
            raise forms.ValidationError(_("Select at most one file of each kind of text encoder."))
        return files
