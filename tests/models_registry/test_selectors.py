"""Resolution of model names."""

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from models_registry.errors import ModelNotAllowed, ModelNotFound, ModelUnusable
from models_registry.models import FOLDERS, Kind, StylePreset, StylePresetLora
from models_registry.selectors import control_model, list_for, resolve


def test_file_is_found_by_every_name_that_a1111_uses(source, register):
    file = register("checkpoints/anime/v2.safetensors", name="Anime v2")
    names = ["Anime v2", "anime/v2.safetensors", "anime_v2", "v2.safetensors", "v2", file.path]
    names += [f"{name} [{digits}]" for name in names for digits in (file.short_hash, file.sha256)]
    for name in [*names, file.title, file.short_hash, file.sha256]:
        assert resolve(Kind.CHECKPOINT, name, source) == file, name


@pytest.mark.parametrize(
    "name", ["V2", "v2.ckpt", "v", "v2 [0000000000]", " v2", "v2\0", "x" * 9000, "%", "*"]
)
def test_names_are_exact(source, register, name):
    register("checkpoints/v2.safetensors")
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, name, source)


def test_lora_is_found_by_the_hash_of_its_tensors(source, register):
    file = register("loras/style.safetensors", kind=Kind.LORA, tensors_sha256="ab" * 32)
    assert resolve(Kind.LORA, "ab" * 6, source) == resolve(Kind.LORA, "ab" * 32, source) == file


def test_registry_name_takes_precedence_over_the_stem_of_another_file(source, register):
    register("checkpoints/a/dream.safetensors", name="older")
    renamed = register("checkpoints/b/sleep.safetensors", name="dream")
    assert resolve(Kind.CHECKPOINT, "dream", source) == renamed


def test_shared_stem_resolves_to_the_older_file(source, register):
    older = register("checkpoints/a/dream.safetensors", name="dream")
    newer = register("checkpoints/b/dream.safetensors", name="dream-2")
    assert resolve(Kind.CHECKPOINT, "dream", source) == older
    assert resolve(Kind.CHECKPOINT, "b/dream.safetensors", source) == newer


def test_name_of_another_kind_is_not_found(source, register):
    register("loras/style.safetensors", kind=Kind.LORA)
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "style", source)


@pytest.mark.parametrize(
    "state",
    [{"enabled": False}, {"missing_since": timezone.now()}, {"problem": "broken"}],
    ids=["disabled", "missing", "broken"],
)
def test_unusable_file_is_not_found(source, register, state):
    register("checkpoints/v2.safetensors", **state)
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "v2", source)
    assert not list_for(Kind.CHECKPOINT, source)


def test_foreign_file_has_the_same_message_as_a_missing_one(source, other_source, register):
    register("checkpoints/theirs.safetensors").allowed_sources.add(other_source)
    with pytest.raises(ModelNotAllowed) as refused:
        resolve(Kind.CHECKPOINT, "theirs", source)
    assert str(refused.value) == str(ModelNotFound(Kind.CHECKPOINT, "theirs"))
    assert not list_for(Kind.CHECKPOINT, source)
    assert resolve(Kind.CHECKPOINT, "theirs", other_source)


def test_foreign_file_does_not_shadow_a_permitted_one(source, other_source, register):
    register("checkpoints/theirs/dream.safetensors", name="dream").allowed_sources.add(other_source)
    mine = register("checkpoints/ours/dream.safetensors", name="dream-2")
    assert resolve(Kind.CHECKPOINT, "dream", source) == mine


def test_empty_name_resolves_to_the_default_checkpoint(source, register):
    register("checkpoints/old.safetensors")
    default = register("checkpoints/new.safetensors", is_default=True)
    assert resolve(Kind.CHECKPOINT, "", source) == default


def test_empty_name_resolves_to_the_oldest_checkpoint_if_the_default_is_not_permitted(
    source, other_source, register
):
    oldest = register("checkpoints/a.safetensors")
    register("checkpoints/b.safetensors")
    register("checkpoints/c.safetensors", is_default=True).allowed_sources.add(other_source)
    assert resolve(Kind.CHECKPOINT, "", source) == oldest


def test_empty_name_without_any_checkpoint_is_not_found(source):
    with pytest.raises(ModelNotFound, match="no checkpoint is available"):
        resolve(Kind.CHECKPOINT, "", source)


def test_resolving_costs_one_query_by_name_and_three_otherwise(source, register, django_assert_num_queries):
    for number in range(5):
        register(f"checkpoints/{number}.safetensors", name=f"model {number}")
    with django_assert_num_queries(1):
        resolve(Kind.CHECKPOINT, "model 3", source)
    with django_assert_num_queries(3):
        resolve(Kind.CHECKPOINT, "3.safetensors", source)


def test_checkpoint_is_found_by_its_legacy_hash(source, register):
    file = register("checkpoints/dream.safetensors", legacy_hash="81761151")
    for name in ("81761151", "dream [81761151]", "dream.safetensors [81761151]"):
        assert resolve(Kind.CHECKPOINT, name, source) == file, name
    assert file.control_title == "dream [81761151]"


def test_empty_legacy_hash_matches_no_file(source, register):
    register("checkpoints/dream.safetensors")
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "dream []", source)


def test_file_is_found_by_its_aliases(source, register):
    file = register("checkpoints/ours.safetensors", aliases=["majicmix.safetensors", "dream"])
    assert resolve(Kind.CHECKPOINT, "majicmix.safetensors", source) == file
    theirs = register("checkpoints/dream.safetensors", name="dream")
    assert resolve(Kind.CHECKPOINT, "dream", source) == theirs


def test_aliases_of_a_controlnet_are_case_insensitive(source, register):
    ours = register("controlnet/edges.safetensors", kind=Kind.CONTROLNET, aliases=["Control_v11p_canny.pth"])
    for name in ("Control_v11p_canny.pth", "control_v11p_canny", "control_v11p_canny [d14c016b]"):
        assert control_model(name, source) == ours, name
    assert control_model("canny", source) is None
    theirs = register("controlnet/control_v11p_canny.pth", kind=Kind.CONTROLNET)
    assert control_model("control_v11p_canny", source) == theirs


def test_aliases_must_be_a_list_of_names(register):
    file = register("checkpoints/ours.safetensors", aliases="majicmix")
    with pytest.raises(ValidationError):
        file.full_clean()


@pytest.mark.parametrize("kind", [Kind.CHECKPOINT, Kind.LORA, Kind.VAE, Kind.CONTROLNET, Kind.UPSCALER])
def test_names_with_backslashes_are_found_as_windows_writes_them(source, register, kind):
    file = register(f"{FOLDERS[kind]}/anime/v2.safetensors", kind=kind, name="Anime v2")
    for name in (r"anime\v2.safetensors", rf"anime\v2.safetensors [{file.short_hash}]"):
        assert resolve(kind, name, source) == file


def test_controlnet_is_found_by_every_name_of_other_kinds(source, register):
    file = register(
        "controlnet/sd15/canny.safetensors", kind=Kind.CONTROLNET, name="Canny 1.5", legacy_hash="0a" * 4
    )
    names = ["Canny 1.5", "canny", "canny.safetensors", "sd15/canny.safetensors", r"sd15\canny.safetensors"]
    names += [file.path, file.sha256, file.short_hash, file.legacy_hash, file.title, file.control_title]
    names += [
        f"canny [{file.sha256[:8]}]",
        f"canny [{file.short_hash}]",
        "CANNY",
        "cann",
        r"sd15\canny [00000000]",
    ]
    for name in names:
        assert control_model(name, source) == file, name
    assert control_model("depth", source) is None


def test_a_file_with_a_problem_is_refused_with_its_reason(source, other_source, register):
    broken = register("checkpoints/unet.safetensors", problem="it has no text encoder")
    unknown = register("checkpoints/flux.safetensors", kind=Kind.UNKNOWN, problem="it is a Flux model")
    register("loras/other.safetensors", kind=Kind.UNKNOWN, problem="unknown")
    for file in (broken, unknown):
        with pytest.raises(ModelUnusable, match=file.problem):
            resolve(Kind.CHECKPOINT, file.name, source)
    with pytest.raises(ModelNotFound) as found:
        resolve(Kind.CHECKPOINT, "other", source)
    assert not isinstance(found.value, ModelUnusable), "it is in the folder of another kind"
    broken.allowed_sources.add(other_source)
    with pytest.raises(ModelNotFound) as found:
        resolve(Kind.CHECKPOINT, "unet", source)
    assert "text encoder" not in str(found.value), "the problem of another tenant's file is not told"


def test_a_checkpoint_without_vae_is_not_taken_for_want_of_a_name(source, register):
    register("checkpoints/bare.safetensors", without_vae=True)
    whole = register("checkpoints/whole.safetensors")
    assert resolve(Kind.CHECKPOINT, "", source) == whole


def test_source_for_commercial_use_is_refused_other_files_by_name(source, register):
    permitted = register("checkpoints/open.safetensors", commercial_use="yes", name="open")
    for name, use in (("closed", "no"), ("untold", "unknown")):
        register(f"checkpoints/{name}.safetensors", commercial_use=use, is_default=True)
    assert resolve(Kind.CHECKPOINT, "closed", source).name == "closed"
    source.commercial_models_only = True
    assert list(list_for(Kind.CHECKPOINT, source)) == [permitted]
    assert resolve(Kind.CHECKPOINT, "", source) == permitted
    for name in ("closed", "untold"):
        with pytest.raises(ModelUnusable, match=f"{name}: its commercial use"):
            resolve(Kind.CHECKPOINT, name, source)


def test_preset_with_a_file_not_for_commercial_use_is_not_offered(source, register):
    closed = register("checkpoints/closed.safetensors", commercial_use="no")
    lora = register("loras/closed.safetensors", kind=Kind.LORA)
    for key, checkpoint in (("default", None), ("closed", closed), ("lora", None)):
        StylePreset.objects.create(key=key, checkpoint=checkpoint)
    StylePresetLora.objects.create(preset=StylePreset.objects.get(key="lora"), name="x", lora=lora)
    keys = lambda: set(StylePreset.objects.offered_to(source).values_list("key", flat=True))  # noqa: E731
    assert keys() >= {"default", "closed", "lora"}
    source.commercial_models_only = True
    assert keys() & {"default", "closed", "lora"} == {"default"}
