import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from models_registry.errors import ModelNotAllowed, ModelNotFound
from models_registry.models import Kind
from models_registry.selectors import control_model, list_for, resolve


def test_a_file_answers_to_every_name_that_a1111_gives_it(source, register):
    file = register("checkpoints/anime/v2.safetensors", name="Anime v2")
    names = ["Anime v2", "anime/v2.safetensors", "anime_v2", "v2.safetensors", "v2", file.path]
    names += [f"{name} [{file.short_hash}]" for name in names]
    for name in [*names, file.title, file.short_hash, file.sha256]:
        assert resolve(Kind.CHECKPOINT, name, source) == file, name


@pytest.mark.parametrize(
    "name", ["V2", "v2.ckpt", "v", "v2 [0000000000]", " v2", "v2\0", "x" * 9000, "%", "*"]
)
def test_names_are_exact(source, register, name):
    register("checkpoints/v2.safetensors")
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, name, source)


def test_a_lora_answers_to_the_hash_of_its_tensors(source, register):
    file = register("loras/style.safetensors", kind=Kind.LORA, tensors_sha256="ab" * 32)
    assert resolve(Kind.LORA, "ab" * 6, source) == resolve(Kind.LORA, "ab" * 32, source) == file


def test_the_registrys_own_name_wins_over_another_files_stem(source, register):
    register("checkpoints/a/dream.safetensors", name="older")
    renamed = register("checkpoints/b/sleep.safetensors", name="dream")
    assert resolve(Kind.CHECKPOINT, "dream", source) == renamed


def test_a_stem_that_two_files_share_means_the_older_one(source, register):
    older = register("checkpoints/a/dream.safetensors", name="dream")
    newer = register("checkpoints/b/dream.safetensors", name="dream-2")
    assert resolve(Kind.CHECKPOINT, "dream", source) == older
    assert resolve(Kind.CHECKPOINT, "b/dream.safetensors", source) == newer


def test_a_name_of_another_kind_is_not_found(source, register):
    register("loras/style.safetensors", kind=Kind.LORA)
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "style", source)


@pytest.mark.parametrize(
    "state",
    [{"enabled": False}, {"missing_since": timezone.now()}, {"problem": "broken"}],
    ids=["disabled", "missing", "broken"],
)
def test_a_file_that_cannot_be_used_is_not_found(source, register, state):
    register("checkpoints/v2.safetensors", **state)
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "v2", source)
    assert not list_for(Kind.CHECKPOINT, source)


def test_a_file_of_another_source_is_refused_in_the_words_of_one_that_does_not_exist(
    source, other_source, register
):
    register("checkpoints/theirs.safetensors").allowed_sources.add(other_source)
    with pytest.raises(ModelNotAllowed) as refused:
        resolve(Kind.CHECKPOINT, "theirs", source)
    assert str(refused.value) == str(ModelNotFound(Kind.CHECKPOINT, "theirs"))
    assert not list_for(Kind.CHECKPOINT, source)
    assert resolve(Kind.CHECKPOINT, "theirs", other_source)


def test_another_sources_file_does_not_shadow_a_name_that_the_caller_may_use(source, other_source, register):
    register("checkpoints/theirs/dream.safetensors", name="dream").allowed_sources.add(other_source)
    mine = register("checkpoints/ours/dream.safetensors", name="dream-2")
    assert resolve(Kind.CHECKPOINT, "dream", source) == mine


def test_no_name_means_the_default_checkpoint(source, register):
    register("checkpoints/old.safetensors")
    default = register("checkpoints/new.safetensors", is_default=True)
    assert resolve(Kind.CHECKPOINT, "", source) == default


def test_no_name_means_the_oldest_checkpoint_where_the_default_is_not_for_this_source(
    source, other_source, register
):
    oldest = register("checkpoints/a.safetensors")
    register("checkpoints/b.safetensors")
    register("checkpoints/c.safetensors", is_default=True).allowed_sources.add(other_source)
    assert resolve(Kind.CHECKPOINT, "", source) == oldest


def test_no_name_and_no_checkpoint_is_not_found(source):
    with pytest.raises(ModelNotFound, match="no checkpoint is available"):
        resolve(Kind.CHECKPOINT, "", source)


def test_resolving_costs_one_query_by_name_and_three_otherwise(source, register, django_assert_num_queries):
    for number in range(5):
        register(f"checkpoints/{number}.safetensors", name=f"model {number}")
    with django_assert_num_queries(1):
        resolve(Kind.CHECKPOINT, "model 3", source)
    with django_assert_num_queries(3):
        resolve(Kind.CHECKPOINT, "3.safetensors", source)


def test_a_checkpoint_answers_to_the_eight_digits_of_old_versions(source, register):
    file = register("checkpoints/dream.safetensors", legacy_hash="81761151")
    for name in ("81761151", "dream [81761151]", "dream.safetensors [81761151]"):
        assert resolve(Kind.CHECKPOINT, name, source) == file, name
    assert file.control_title == "dream [81761151]"


def test_a_file_without_them_is_not_found_by_nothing(source, register):
    register("checkpoints/dream.safetensors")
    with pytest.raises(ModelNotFound):
        resolve(Kind.CHECKPOINT, "dream []", source)


def test_a_file_stands_in_for_others_under_their_names(source, register):
    file = register("checkpoints/ours.safetensors", aliases=["majicmix.safetensors", "dream"])
    assert resolve(Kind.CHECKPOINT, "majicmix.safetensors", source) == file
    theirs = register("checkpoints/dream.safetensors", name="dream")
    assert resolve(Kind.CHECKPOINT, "dream", source) == theirs


def test_a_controlnet_answers_to_its_other_names_in_any_case(source, register):
    ours = register("controlnet/edges.safetensors", kind=Kind.CONTROLNET, aliases=["Control_v11p_canny.pth"])
    for name in ("Control_v11p_canny.pth", "control_v11p_canny", "control_v11p_canny [d14c016b]"):
        assert control_model(name, source) == ours, name
    assert control_model("canny", source) is None
    theirs = register("controlnet/control_v11p_canny.pth", kind=Kind.CONTROLNET)
    assert control_model("control_v11p_canny", source) == theirs


def test_other_names_are_a_list_of_names(register):
    file = register("checkpoints/ours.safetensors", aliases="majicmix")
    with pytest.raises(ValidationError):
        file.full_clean()
