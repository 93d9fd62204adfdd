"""Admin of prompt styles and style presets."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.admin import TabularInline

from console.admin_base.base import TenantRestrictions
from models_registry.models import PromptStyle, StylePreset, StylePresetLora

from .preset_preview import PresetPreviewMixin, PromptPreviewMixin

SIZES = ["long_side", "width", "height"]


@admin.register(PromptStyle)
class PromptStyleAdmin(PromptPreviewMixin):
    list_display = ["name", "prompt", "negative_prompt"]
    list_filter = ["allowed_sources"]
    search_fields = ["name", "prompt", "negative_prompt"]
    autocomplete_fields = ["allowed_sources"]


class StylePresetLoraInline(TenantRestrictions, TabularInline):
    model = StylePresetLora
    extra = 0


@admin.register(StylePreset)
class StylePresetAdmin(PresetPreviewMixin):
    inlines = [StylePresetLoraInline]
    list_display = ["key", "variant", "title", "task", "checkpoint", "control_model", "enabled"]
    list_filter = ["enabled", "task", "allowed_sources"]
    list_select_related = ["checkpoint", "control_model"]
    search_fields = ["key", "variant", "title"]
    autocomplete_fields = ["allowed_sources"]
    save_as = True
    fieldsets = [
        (None, {"fields": ["key", "variant", "title", "enabled", "allowed_sources"]}),
        (_("Pipeline"), {"fields": ["task", "checkpoint", "vae", "sampler", "scheduler"]}),
        (_("Prompts"), {"fields": ["prompt", "negative_prompt", "prompt_required"]}),
        (
            _("Defaults"),
            {"fields": ["steps", "guidance_scale", "strength", "clip_skip", "keep_texture", *SIZES]},
        ),
        (
            _("ControlNet"),
            {"fields": ["control_module", "control_model", "control_weight", "control_optional"]},
        ),
        (_("Limits"), {"fields": ["max_steps", "max_long_side"]}),
    ]
