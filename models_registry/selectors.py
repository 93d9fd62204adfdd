"""Registry queries: the files that a source may use, and name resolution."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

from django.db.models import Exists, Q, QuerySet
from django.utils.translation import gettext_lazy

from access.models import BusinessSource
from models_registry.errors import ModelNotAllowed, ModelNotFound, ModelUnusable
from models_registry.family_facts import takes_references
from models_registry.models import (
    FOLDERS,
    INPAINTING,
    Kind,
    ModelFile,
    ModelFileQuerySet,
    PromptStyle,
    StylePreset,
    WorkflowRule,
)

IDENTIFIER_FIELDS = ("name", "aliases", "path", "sha256", "tensors_sha256", "legacy_hash", "created_at")

NOT_COMMERCIAL = gettext_lazy("its commercial use is not marked as permitted, which %(source)s requires")
CONTROL_HASH = re.compile(r"\s*\[[0-9a-fA-F]{8}\]\s*$")


def list_for(
    kind: str, source: BusinessSource, *, on_runners: bool = False, dialect: str = ""
) -> ModelFileQuerySet:
    """Files in MODELS_ROOT; with ``on_runners``, the files that runners report from their own folders.

    With ``dialect``, files in MODELS_ROOT, and those of runners too if a workflow rule sends requests of this source and
    dialect there. Among these, a diffusion model is a checkpoint.
    """
    if dialect and not on_runners:
        return _named_by_clients(kind, source, dialect).allowed_for(source)
    return _available_files(kind, on_runners).allowed_for(source)


def _available_files(kind: str, on_runners: bool) -> ModelFileQuerySet:
    if not on_runners:
        return ModelFile.objects.filter(kind=kind).usable()
    # ComfyUI lists a checkpoint without text encoders where its file is: among the diffusion models.
    transformers = Q(kind=Kind.CHECKPOINT, path__startswith=f"{FOLDERS[Kind.DIFFUSION_MODEL]}/")
    if kind == Kind.DIFFUSION_MODEL:
        return ModelFile.objects.filter(Q(kind=kind) | transformers).on_runners()
    return ModelFile.objects.filter(kind=kind).exclude(transformers).on_runners()


def _named_by_clients(kind: str, source: BusinessSource, dialect: str) -> ModelFileQuerySet:
    kinds = [kind, Kind.DIFFUSION_MODEL] if kind == Kind.CHECKPOINT else [kind]
    rules = WorkflowRule.objects.filter(
        Q(source=None) | Q(source=source), dialect__in=["", dialect], template__enabled=True
    )
    on_servers = ModelFile.objects.filter(kind__in=kinds, enabled=True, runners__enabled=True).values("pk")
    in_root = ModelFile.objects.filter(kind=kind).usable().values("pk")
    return ModelFile.objects.filter(Q(pk__in=in_root) | (Exists(rules) & Q(pk__in=on_servers)))


def names_of_rules(source: BusinessSource, dialect: str) -> list[str]:
    """Model names by which workflow rules lead requests of this source and dialect to a template, in their order."""
    rules = WorkflowRule.objects.filter(
        Q(source=None) | Q(source=source), dialect__in=["", dialect], template__enabled=True
    )
    return list(dict.fromkeys(rules.exclude(model="").order_by("model").values_list("model", flat=True)))


def leads_to_template(source: BusinessSource, dialect: str, purpose: str) -> bool:
    """Whether a workflow rule names this purpose for requests of this source and dialect."""
    rules = WorkflowRule.objects.filter(
        Q(source=None) | Q(source=source), dialect__in=["", dialect], purpose=purpose, template__enabled=True
    )
    return rules.exists()


def with_problem(kind: str, source: BusinessSource) -> ModelFileQuerySet:
    """Files of this kind that cannot be used, for the reason in ``problem``.

    A file of unknown kind counts as one of the kind of its folder.
    """
    of_kind = Q(kind=kind) | Q(kind=Kind.UNKNOWN, path__startswith=f"{FOLDERS.get(kind, kind)}/")
    files = ModelFile.objects.filter(of_kind, enabled=True, missing_since=None).exclude(problem="")
    return files.open_to(source)


def styles_for(source: BusinessSource) -> QuerySet[PromptStyle]:
    return PromptStyle.objects.allowed_for(source)


def preset_for(key: str, variant: str, source: BusinessSource) -> StylePreset | None:
    """Style preset of this key and variant, or None.

    Disabled presets and presets of other sources are None too, so that their existence is not revealed.
    """
    if "\0" in key + variant:
        return None
    presets = StylePreset.objects.usable().allowed_for(source).filter(key=key, variant=variant)
    related = presets.select_related("checkpoint", "vae", "control_model").prefetch_related("loras__lora")
    return related.order_by("pk").first()


def is_usable(file: ModelFile, source: BusinessSource, *, dialect: str = "") -> bool:
    return list_for(file.kind, source, dialect=dialect).filter(pk=file.pk).exists()


def resolve(
    kind: str, name: str, source: BusinessSource, *, on_runners: bool = False, dialect: str = ""
) -> ModelFile:
    """Resolve a name in a request of this source to a file. Without a name, returns the default file.

    ``dialect``: as for ``list_for``. A file in MODELS_ROOT precedes one that only runners have.
    """
    found = _found_for(kind, name, source, on_runners, "")
    if found is None and dialect:
        found = _found_for(kind, name, source, on_runners, dialect)
    if found is not None:
        return found
    if name and not on_runners and (broken := _find_by_name(with_problem(kind, source), name)):
        raise ModelUnusable(kind, broken.name, broken.problem)
    available = _available_files(kind, on_runners)
    open_files = available.open_to(source)
    if source.commercial_models_only and (
        other := _find_by_name(open_files, name) if name else _default(open_files)
    ):
        raise ModelUnusable(kind, other.name, str(NOT_COMMERCIAL) % {"source": source.name})
    exists = name and _find_by_name(available, name)
    raise (ModelNotAllowed if exists else ModelNotFound)(kind, name)


def _found_for(
    kind: str, name: str, source: BusinessSource, on_runners: bool, dialect: str
) -> ModelFile | None:
    files = list_for(kind, source, on_runners=on_runners, dialect=dialect)
    return _find_by_name(files, name) if name else _default(files)


def control_model(name: str, source: BusinessSource, *, dialect: str = "") -> ModelFile | None:
    """ControlNet by one of its names, or by one that clients of A1111's extension use.

    Those are "stem [hash]", with the stem matched case-insensitively, or a part of it.
    Aliases are matched in the same way as the name, with or without a suffix.
    """
    return _control_model(list_for(Kind.CONTROLNET, source, dialect=dialect), name)


def control_model_problem(name: str, source: BusinessSource) -> str:
    """Why the ControlNet of a name that ``control_model`` does not find cannot be used; empty if it does not exist."""
    broken = _control_model(with_problem(Kind.CONTROLNET, source), name)
    if broken is None and source.commercial_models_only:
        others = ModelFile.objects.filter(kind=Kind.CONTROLNET).usable().open_to(source)
        if file := _control_model(others, name):
            return f"{file.name}: {str(NOT_COMMERCIAL) % {'source': source.name}}"
    return f"{broken.name}: {broken.problem}" if broken else ""


def _control_model(allowed: ModelFileQuerySet, name: str) -> ModelFile | None:
    if exact := _find_by_name(allowed, name) or _find_by_name(allowed, CONTROL_HASH.sub("", name)):
        return exact
    files = {file.control_title: file for file in allowed}
    wanted = CONTROL_HASH.sub("", name).strip().lower()
    stems = {CONTROL_HASH.sub("", title).lower(): file for title, file in files.items()}
    others = {other.lower(): file for file in files.values() for other in file.aliases}
    others = {PurePosixPath(other).stem: file for other, file in others.items()} | others
    if known := stems.get(wanted) or others.get(wanted):
        return known
    containing = sorted((stem for stem in stems if wanted in stem), key=lambda stem: (len(stem), stem))
    return stems[containing[0]] if containing else None


def is_for_inpainting(file: ModelFile) -> bool:
    """Whether the file is an inpainting checkpoint, whose UNet takes the masked image as input."""
    return ModelFile.objects.filter(pk=file.pk, metadata__has_key=INPAINTING).exists()


def edits_by_instruction(name: str, source: BusinessSource) -> bool:
    """Whether a checkpoint, or without a name the default one, is of InstructPix2Pix. False if it does not exist."""
    if not list_for(Kind.CHECKPOINT, source).filter(instruct=True).exists():
        return False
    try:
        return resolve(Kind.CHECKPOINT, name, source).instruct
    except ModelNotFound:
        return False


def reads_references(name: str, source: BusinessSource) -> bool:
    """Whether a checkpoint that a request names reads images beside the latent. False if it does not exist."""
    try:
        return bool(name) and takes_references(resolve(Kind.CHECKPOINT, name, source))
    except ModelNotFound:
        return False


def instruct_checkpoint(source: BusinessSource) -> str:
    """Name of the InstructPix2Pix checkpoint that a source uses if it names none; empty if there is none."""
    files = list_for(Kind.CHECKPOINT, source).filter(instruct=True)
    return files.order_by("-is_default", "created_at", "pk").values_list("name", flat=True).first() or ""


def identifiers(file: ModelFile) -> tuple[str, ...]:
    """All names of a file, most specific first. They are matched exactly, case-sensitively."""
    path = PurePosixPath(file.path_in_kind)
    bare = str(path.with_suffix(""))
    names = (file.name, file.path, file.path_in_kind, bare, bare.replace("/", "_"), path.name, path.stem)
    hashes_in_titles = [
        digits for digits in (file.short_hash, file.legacy_hash, file.sha256[:8], file.sha256) if digits
    ]
    with_hash = tuple(f"{name} [{digits}]" for digits in hashes_in_titles for name in names)
    hashes = (file.sha256, file.short_hash, file.legacy_hash, file.tensors_sha256, file.lora_hash)
    return (file.name, file.title, *hashes, *names, *with_hash, *file.aliases)


def names_for(kind: str, source: BusinessSource, *, on_runners: bool = False) -> list[str]:
    return list(list_for(kind, source, on_runners=on_runners).order_by("name").values_list("name", flat=True))


def _default(files: ModelFileQuerySet) -> ModelFile | None:
    order = ("-is_default", "instruct", "without_vae", "created_at", "pk")
    return files.defer("metadata").order_by(*order).first()


def _find_by_name(files: ModelFileQuerySet, name: str) -> ModelFile | None:
    if "\0" in name:  # PostgreSQL does not accept NUL in text, and no name contains it
        return None
    found = files.filter(name=name).defer("metadata").first() or _find_by_other_name(files, name)
    if found is None and "\\" in name:  # as Windows writes paths
        return _find_by_other_name(files, name.replace("\\", "/"))
    return found


def _find_by_other_name(files: ModelFileQuerySet, name: str) -> ModelFile | None:
    return _with_identifier(files, name) or _with_output_name(files, name)


def _with_output_name(files: ModelFileQuerySet, name: str) -> ModelFile | None:
    """File whose training metadata has this output name (``ss_output_name``), if it is unique."""
    found = list(files.filter(metadata__ss_output_name=name)[:2])
    return found[0] if len(found) == 1 else None


def _with_identifier(files: ModelFileQuerySet, name: str) -> ModelFile | None:
    # The registry holds hundreds of files, so the rules are applied in Python rather than in SQL.
    candidates = files.only(*IDENTIFIER_FIELDS).order_by("created_at", "pk")
    ranked = [
        (names.index(name), order, file.pk) for order, file, names in _numbered(candidates) if name in names
    ]
    return files.get(pk=min(ranked)[-1]) if ranked else None


def _numbered(files: ModelFileQuerySet) -> list[tuple[int, ModelFile, tuple[str, ...]]]:
    return [(order, file, identifiers(file)) for order, file in enumerate(files)]


def training(file: ModelFile) -> dict[str, Any]:
    """How a checkpoint was trained, as far as its row says it because the file does not."""
    overrides = {
        "prediction_type": file.prediction_type,
        "zero_terminal_snr": file.zero_terminal_snr,
        "variant": file.variant,
    }
    return {name: value for name, value in overrides.items() if value not in ("", None)}
