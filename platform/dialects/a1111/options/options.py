"""The options of an access key: reading, writing, and the snapshot that a job takes of them."""

from __future__ import annotations

import json
from typing import Any, get_args

from django.conf import settings as django_settings
from django.db import transaction
from django.utils.translation import gettext as _

from access.models import AccessKey
from dialects.a1111.errors import Invalid, InvalidItems, Location, Unprocessable, WireError, model_not_found
from dialects.a1111.models import KeyOptions
from gpu_runner.protocol import Emphasis
from models_registry.errors import ModelNotFound
from models_registry.models import Kind, ModelFile
from models_registry.selectors import resolve

from .fallback_warnings import FallbackWarnings
from .table import OPTIONS, Effect

CHECKPOINT = "sd_model_checkpoint"
CHECKPOINT_HASH = "sd_checkpoint_hash"  # says what the checkpoint is, whoever sends it along
OVERRIDES: Location = ("body", "override_settings")
LONGEST = 4000  # characters of a value as JSON
OUTPUT_FORMATS = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "webp": "webp"}
OF_FILES = ("samples_format", "jpeg_quality")
RANGES: dict[str, tuple[float, float]] = {
    "jpeg_quality": (1, 100),
    "CLIP_stop_at_last_layers": (1, 12),
    "eta_ddim": (0, 10),
    "eta_ancestral": (0, 10),
    "initial_noise_multiplier": (0, 10),
    "inpainting_mask_weight": (0, 1),
    "show_progress_every_n_steps": (-1, 500),
    "control_net_unit_count": (1, 10),
    "comma_padding_backtrack": (0, 75),
    "eta_noise_seed_delta": (0, 2**32 - 1),
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
    """Every option as this key has it."""
    stored = KeyOptions.objects.filter(key=key).values_list("values", flat=True).first() or {}
    values = {name: stored.get(name, option.default) for name, option in OPTIONS.items()}
    return values | {"api_enable_requests": django_settings.INPUT_URLS}


def rendered(key: AccessKey) -> dict[str, Any]:
    """The answer of GET /options; POSTing it back changes nothing."""
    values = {name: OPTIONS[name].rendered(value) for name, value in current(key).items()}
    checkpoint = _checkpoint_or_none(values[CHECKPOINT], key)
    if checkpoint is not None:
        values |= {CHECKPOINT: checkpoint.title, CHECKPOINT_HASH: checkpoint.sha256}
    return values


def write(key: AccessKey, changes: dict[str, Any]) -> None:
    """All of the changes, or none."""
    name = changes.get(CHECKPOINT)
    is_another = name is not None and name != current(key)[CHECKPOINT]  # the one before may be gone by now
    if is_another and _checkpoint_or_none(name, key) is None:
        raise model_not_found(str(name))
    if key.source.strict:
        _unwritable(changes, current(key), ("body",)).refuse()
    store(key, read_changes(changes, ("body",)))


@transaction.atomic
def store(key: AccessKey, values: dict[str, Any]) -> None:
    row, _created = KeyOptions.objects.select_for_update().get_or_create(key=key)
    merged = row.values | values
    row.values = {name: value for name, value in merged.items() if value != OPTIONS[name].default}
    row.save(update_fields=["values"])


def read_changes(changes: dict[str, Any], location: Location) -> dict[str, Any]:
    """The changes with their types put right. Raises what A1111 answers for a key that it does not know."""
    read: dict[str, Any] = {}
    wrong: list[dict[str, Any]] = []
    for name, value in changes.items():
        if not _is_writable(name, value):
            continue
        try:
            read[name] = _read(name, value)
        except Invalid as error:
            wrong.append(error.at((*location, name)))
        except InvalidItems as error:
            wrong.extend(error.at((*location, name)))
    if wrong:
        raise Unprocessable(wrong)
    return read


def _is_writable(name: str, value: Any) -> bool:
    if name in OPTIONS:
        return OPTIONS[name].effect is not Effect.READ_ONLY
    if value is not None:  # an unknown key's value is None, and writing the same value does nothing
        raise WireError(500, error="KeyError", errors=repr(name))
    return False


def _read(name: str, value: Any) -> Any:
    option = OPTIONS[name]
    read = option.coerce(value)
    _check_length(read)
    if option.effect is Effect.FIXED and read not in (option.default, *option.same):
        raise Invalid(_("not supported yet: only the default is"), "value_error.unsupported")
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
    """The original does as usual for a name that it does not know."""
    return name if name in get_args(Emphasis) else "Original"


def _check_length(value: Any) -> None:
    if len(json.dumps(value)) > LONGEST:
        message = f"ensure this value has at most {LONGEST} characters"
        raise Invalid(message, "value_error.any_str.max_length", {"limit_value": LONGEST})


def _check_range(value: float, least: float, most: float) -> None:
    if value < least:
        message = f"ensure this value is greater than or equal to {least}"
        raise Invalid(message, "value_error.number.not_ge", {"limit_value": least})
    if value > most:
        message = f"ensure this value is less than or equal to {most}"
        raise Invalid(message, "value_error.number.not_le", {"limit_value": most})


def _checkpoint_or_none(name: Any, key: AccessKey) -> ModelFile | None:
    try:
        return resolve(Kind.CHECKPOINT, str(name or ""), key.source)
    except ModelNotFound:
        return None


def _unwritable(changes: dict[str, Any], now: dict[str, Any], location: Location) -> FallbackWarnings:
    """What keeps its value whatever is written."""
    found = FallbackWarnings()
    for name, value in changes.items():
        option = OPTIONS.get(name)
        if option is None or option.effect is not Effect.READ_ONLY or name == CHECKPOINT_HASH:
            continue
        if value not in (None, option.rendered(now[name])):
            found.add((*location, name), _("the option %s is read-only, and was ignored") % name)
    return found


class EffectiveOptions:
    """The options that one job is drawn with: the key's, with the request's overrides over them."""

    def __init__(self, key: AccessKey, overrides: dict[str, Any], *, restore: bool) -> None:
        configured = current(key)
        self.fallbacks = _unwritable(overrides, configured, OVERRIDES)
        self.dropped: set[str] = set()
        self.overrides = read_changes(self._without_unknown_checkpoint(key, overrides), OVERRIDES)
        self.values = configured | self.overrides
        if restore:
            self._restore_before_encoding(configured)

    def _without_unknown_checkpoint(self, key: AccessKey, overrides: dict[str, Any]) -> dict[str, Any]:
        name = overrides.get(CHECKPOINT)
        if name is None or _checkpoint_or_none(name, key) is not None:
            return overrides
        self.dropped.add(CHECKPOINT)
        message = _("override_settings.sd_model_checkpoint is unknown and was dropped: %s") % name
        self.fallbacks.add((*OVERRIDES, CHECKPOINT), message)
        return {option: value for option, value in overrides.items() if option != CHECKPOINT}

    def _restore_before_encoding(self, configured: dict[str, Any]) -> None:
        """The original encodes after the settings are put back, and clients have got used to it."""
        asked = {name: self.values[name] for name in OF_FILES}
        self.values |= {name: configured[name] for name in OF_FILES}
        for name, value in asked.items():
            would_act = name == "samples_format" or "output_quality" in self.output_file
            if value != configured[name] and would_act:
                message = _("override_settings.%s acts only without restoring the settings") % name
                self.fallbacks.add((*OVERRIDES, name), message)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    @property
    def output_file(self) -> dict[str, Any]:
        """Fields of the canonical request. A PNG has no quality."""
        file_format = OUTPUT_FORMATS[self["samples_format"].lower()]
        quality = {} if file_format == "png" else {"output_quality": self["jpeg_quality"]}
        return {"output_format": file_format, **quality}

    @property
    def preview_every(self) -> int:
        return max(0, self["show_progress_every_n_steps"]) if self["live_previews_enable"] else 0
