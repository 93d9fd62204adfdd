"""Options of an access key: read, write, and resolve the effective options of a job."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, get_args

from django.conf import settings as django_settings
from django.db import transaction
from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.a1111.authentication import DIALECT
from dialects.a1111.errors import Invalid, InvalidItems, Location, Unprocessable, WireError, model_not_found
from dialects.a1111.models import KeyOptions
from gpu_runner.protocol import MAX_SEED, MIN_SEED, Emphasis
from jobs.admission.model_choice.defaults import ModelDefaults, defaults_of
from models_registry.errors import ModelNotFound, ModelUnusable
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve

from .fallback_warnings import FallbackWarnings
from .table import OPTIONS, Effect

CHECKPOINT = "sd_model_checkpoint"
CLIP_SKIP = "CLIP_stop_at_last_layers"
CHECKPOINT_HASH = "sd_checkpoint_hash"  # read-only; ignored without a warning when a client sends it
OVERRIDES: Location = ("body", "override_settings")
MAX_LENGTH = 4000  # maximum length of a value, in characters of JSON
OUTPUT_FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp", "avif": "avif"}
FILE_OPTIONS = ("samples_format", "jpeg_quality")
RANGES: dict[str, tuple[float, float]] = {
    "jpeg_quality": (1, 100),
    "CLIP_stop_at_last_layers": (1, 12),
    "eta_ddim": (0, 10),
    "eta_ancestral": (0, 10),
    "initial_noise_multiplier": (0, 10),
    "inpainting_mask_weight": (0, 1),
    "interrogate_deepbooru_score_threshold": (0, 1),
    "show_progress_every_n_steps": (-1, 500),
    "control_net_unit_count": (1, 10),
    "comma_padding_backtrack": (0, 75),
    "eta_noise_seed_delta": (MIN_SEED, MAX_SEED),
    "s_churn": (0, 1000),
    "s_tmin": (0, 10_000),
    "s_tmax": (0, 10_000),
    "s_noise": (0, 10),
    "s_min_uncond": (0, 15),
    "sigma_min": (0, 10),
    "sigma_max": (0, 10_000),
    "rho": (0, 100),
    "beta_dist_alpha": (0.01, 10),
    "beta_dist_beta": (0.01, 10),
    "uni_pc_order": (1, 9),
    "n_rows": (-1, 16),
}
CHOICES: dict[str, tuple[str, ...]] = {
    "randn_source": ("GPU", "CPU", "NV"),
    "uni_pc_variant": ("bh1", "bh2", "vary_coeff"),
    "uni_pc_skip_type": ("time_uniform", "time_quadratic", "logSNR"),
}


def current(key: AccessKey) -> dict[str, Any]:
    """Return the values of all options for this key."""
    stored = KeyOptions.objects.filter(key=key).values_list("values", flat=True).first() or {}
    values = {name: stored.get(name, option.default) for name, option in OPTIONS.items()}
    return values | {"api_enable_requests": django_settings.INPUT_URLS}


def rendered(key: AccessKey) -> dict[str, Any]:
    """Return the body of GET /options. Posting it back changes nothing."""
    values = {name: OPTIONS[name].rendered(value) for name, value in current(key).items()}
    checkpoint = _checkpoint_or_none(values[CHECKPOINT], key)
    if checkpoint is not None:
        values |= {CHECKPOINT: checkpoint.title, CHECKPOINT_HASH: checkpoint.sha256}
    return values


def write(key: AccessKey, changes: dict[str, Any]) -> None:
    """Validate and store option changes. If one is invalid, none is stored."""
    name = changes.get(CHECKPOINT)
    # An unchanged name is not checked: the stored checkpoint may have been deleted since.
    is_another = name is not None and name != current(key)[CHECKPOINT]
    if is_another and _checkpoint_or_none(name, key) is None:
        raise model_not_found(str(name))
    if key.source.strict:
        _read_only_warnings(changes, current(key), ("body",)).refuse()
    store(key, read_changes(changes, ("body",)))


@transaction.atomic
def store(key: AccessKey, values: dict[str, Any]) -> None:
    row, _created = KeyOptions.objects.select_for_update().get_or_create(key=key)
    merged = row.values | values
    row.values = {name: value for name, value in merged.items() if value != OPTIONS[name].default}
    row.save(update_fields=["values"])


def read_changes(changes: dict[str, Any], location: Location) -> dict[str, Any]:
    """Coerce the changes to the types of their options. Raises A1111's error for an unknown option."""
    read: dict[str, Any] = {}
    errors: list[dict[str, Any]] = []
    for name, value in changes.items():
        if not _is_writable(name, value):
            continue
        try:
            read[name] = _read(name, value)
        except Invalid as error:
            errors.append(error.at((*location, name)))
        except InvalidItems as error:
            errors.extend(error.at((*location, name)))
    if errors:
        raise Unprocessable(errors)
    return read


def _is_writable(name: str, value: Any) -> bool:
    if name in OPTIONS:
        return OPTIONS[name].effect is not Effect.READ_ONLY
    if value is not None:  # unknown keys have the value None; writing an unchanged value has no effect
        raise WireError(500, error="KeyError", errors=repr(name))
    return False


def _read(name: str, value: Any) -> Any:
    option = OPTIONS[name]
    read = option.coerce(value)
    _check_length(read)
    if option.effect is Effect.FIXED and read not in (option.default, *option.same):
        message = _("not supported: only the default %s is accepted") % json.dumps(option.default)
        raise Invalid(message, "value_error.unsupported")
    if name in RANGES:
        _check_range(read, *RANGES[name])
    if name in CHOICES and read not in CHOICES[name]:
        raise Invalid(f"unexpected value; permitted: {', '.join(CHOICES[name])}", "value_error.const")
    if name == "emphasis":
        read = _emphasis(read)
    if name == "samples_format" and read.lower() not in OUTPUT_FORMATS:
        raise WireError(500, detail="Invalid image format")
    return read


def _emphasis(name: str) -> str:
    """Map unknown emphasis modes to "Original", as A1111 does."""
    return name if name in get_args(Emphasis) else "Original"


def _check_length(value: Any) -> None:
    if len(json.dumps(value)) > MAX_LENGTH:
        message = f"ensure this value has at most {MAX_LENGTH} characters"
        raise Invalid(message, "value_error.any_str.max_length", {"limit_value": MAX_LENGTH})


def _check_range(value: float, minimum: float, maximum: float) -> None:
    if value < minimum:
        message = f"ensure this value is greater than or equal to {minimum}"
        raise Invalid(message, "value_error.number.not_ge", {"limit_value": minimum})
    if value > maximum:
        message = f"ensure this value is less than or equal to {maximum}"
        raise Invalid(message, "value_error.number.not_le", {"limit_value": maximum})


def _checkpoint_or_none(name: Any, key: AccessKey) -> ModelFile | None:
    try:
        return resolve(Kind.CHECKPOINT, str(name or ""), key.source, dialect=DIALECT)
    except ModelNotFound:
        return None


def _read_only_warnings(
    changes: dict[str, Any], configured: dict[str, Any], location: Location
) -> FallbackWarnings:
    """Collect a warning for each read-only option whose value would change."""
    found = FallbackWarnings()
    for name, value in changes.items():
        option = OPTIONS.get(name)
        if option is None or option.effect is not Effect.READ_ONLY or name == CHECKPOINT_HASH:
            continue
        if value not in (None, option.rendered(configured[name])):
            found.add((*location, name), _("option %s is read-only and was ignored") % name)
    return found


class EffectiveOptions:
    """Options of one job: the options of the key, overlaid with the overrides of the request."""

    def __init__(self, key: AccessKey, overrides: dict[str, Any], *, restore: bool) -> None:
        configured = current(key)
        self.key = key
        self.fallbacks = _read_only_warnings(overrides, configured, OVERRIDES)
        self.dropped: set[str] = set()
        self.overrides = read_changes(self._without_unknown_checkpoint(key, overrides), OVERRIDES)
        self.values = configured | self.overrides
        if restore:
            self._restore_before_encoding(configured)

    def _without_unknown_checkpoint(self, key: AccessKey, overrides: dict[str, Any]) -> dict[str, Any]:
        name = overrides.get(CHECKPOINT)
        try:
            if name is None or resolve(Kind.CHECKPOINT, str(name or ""), key.source, dialect=DIALECT):
                return overrides
        except ModelUnusable as error:
            raise Unprocessable.unsupported((*OVERRIDES, CHECKPOINT), str(error)) from error
        except ModelNotFound:
            pass
        self.dropped.add(CHECKPOINT)
        message = _("unknown checkpoint in override_settings.sd_model_checkpoint was ignored: %s") % name
        self.fallbacks.add((*OVERRIDES, CHECKPOINT), message)
        return {option: value for option, value in overrides.items() if option != CHECKPOINT}

    def _restore_before_encoding(self, configured: dict[str, Any]) -> None:
        """Use the key's file options: the original encodes images after it has restored the settings."""
        requested = {name: self.values[name] for name in FILE_OPTIONS}
        self.values |= {name: configured[name] for name in FILE_OPTIONS}
        for name, value in requested.items():
            has_effect = name == "samples_format" or "output_quality" in self.output_file
            if value != configured[name] and has_effect:
                message = _(
                    "override_settings.%s has no effect unless override_settings_restore_afterwards is false"
                )
                self.fallbacks.add((*OVERRIDES, name), message % name)

    @cached_property
    def model_defaults(self) -> ModelDefaults:
        """Defaults of the checkpoint that the options select."""
        return defaults_of(self[CHECKPOINT] or "", self.key.source, self.key)

    @property
    def clip_skip(self) -> int:
        """That of the request or of the key's options; if neither sets it, that of the checkpoint."""
        option = self[CLIP_SKIP]
        is_set = CLIP_SKIP in self.overrides or option != OPTIONS[CLIP_SKIP].default
        return option if is_set else self.model_defaults.clip_skip or option

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def output_file(self) -> dict[str, Any]:
        """Output fields of the canonical request. PNG has no quality setting."""
        file_format = OUTPUT_FORMATS[self["samples_format"].lower()]
        quality = {} if file_format == "png" else {"output_quality": self["jpeg_quality"]}
        return {"output_format": file_format, **quality}

    @property
    def preview_every(self) -> int:
        return max(0, self["show_progress_every_n_steps"]) if self["live_previews_enable"] else 0
