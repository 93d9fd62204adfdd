"""Prompts: styles, comments, LoRA tags and options."""

import pytest

from models_registry.models import Family, Kind, ModelFile, PromptStyle

pytestmark = pytest.mark.slow


@pytest.fixture
def styles(db) -> None:
    PromptStyle.objects.create(name="ink", prompt="ink drawing", negative_prompt="color")
    PromptStyle.objects.create(name="framed", prompt="a frame around {prompt}, {prompt} again")


@pytest.fixture
def ink(db) -> ModelFile:
    fields = {
        "path": "loras/inks/ink-v2.safetensors",
        "sha256": "a" * 64,
        "metadata": {"ss_output_name": "ink"},
    }
    return ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, name="ink-v2", **fields)


def prompts(job) -> tuple[str, str]:
    return job.generation_request.prompt, job.generation_request.negative_prompt


def loras(job) -> list[tuple[str, float, float]]:
    return [(use.name, use.text_encoder, use.unet) for use in job.generation_request.loras]


def test_styles_are_appended_or_wrapped_around_the_prompt_in_order(alice, styles) -> None:
    assert prompts(alice.submit(prompt="a cat ", styles=["ink"])) == ("a cat, ink drawing", "color")
    job = alice.submit(prompt="a cat", negative_prompt="gray", styles=["framed", "unknown", "ink"])
    assert prompts(job) == ("a frame around a cat, a cat again, ink drawing", "gray, color")


def test_style_without_prompt_is_the_prompt(alice, styles) -> None:
    assert prompts(alice.submit(styles=["ink"])) == ("ink drawing", "color")


def test_style_of_another_source_is_unknown(alice, styles, other_source) -> None:
    PromptStyle.objects.get(name="ink").allowed_sources.add(other_source)
    assert prompts(alice.submit(prompt="a cat", styles=["ink"])) == ("a cat", "")
    assert [style["name"] for style in alice.get("prompt-styles").json()] == ["framed"]


def test_styles_are_listed_for_sources_that_may_use_them(charlie, styles) -> None:
    ink = {"name": "ink", "prompt": "ink drawing", "negative_prompt": "color"}
    assert ink in charlie.get("prompt-styles").json()
    assert charlie.get("prompt-styles").json()[0]["negative_prompt"] is None


def test_lora_tag_selects_a_lora_and_stays_in_the_prompt(alice, ink) -> None:
    job = alice.submit(prompt="a cat <lora:ink-v2:0.8:0.2>")
    assert loras(job) == [("ink-v2", 0.8, 0.2)]
    assert job.generation_request.prompt == "a cat <lora:ink-v2:0.8:0.2>"
    assert loras(alice.submit(prompt="<lyco:ink>")) == [("ink-v2", 1.0, 1.0)]  # by its alias


def test_disabled_tags_and_tags_in_negative_prompts_have_no_effect(alice, ink) -> None:
    assert loras(alice.submit(prompt="<lora:ink-v2:1>", disable_extra_networks=True)) == []
    assert loras(alice.submit(negative_prompt="<lora:ink-v2:1>")) == []


@pytest.mark.parametrize("tag", ["<lora:none:1>", "<hypernet:ink-v2:1>", "<lora:ink-v2:much>", "<lora::1>"])
def test_unusable_tag_is_a_warning(alice, complete, ink, info, tag) -> None:
    job = alice.submit(prompt=f"a cat {tag}")
    assert loras(job) == []
    complete(job)
    (warning,) = info(alice.result(job))["warnings"]
    assert tag.split(":")[1] in warning


def test_lora_of_another_source_is_unknown(alice, ink, other_source) -> None:
    ink.allowed_sources.add(other_source)
    assert loras(alice.submit(prompt="<lora:ink-v2:1>")) == []


def test_lora_weight_out_of_range_is_rejected(alice, ink) -> None:
    response = alice.post("txt2img", {"prompt": "<lora:ink-v2:1000>"})
    assert (response.status_code, response.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])


def test_prompt_options_are_copied_into_the_request(alice) -> None:
    job = alice.submit(override_settings={"emphasis": "No norm", "comma_padding_backtrack": 0})
    assert (job.generation_request.emphasis, job.generation_request.comma_backtrack) == ("No norm", 0)
    assert alice.submit(override_settings={"emphasis": "Odd"}).generation_request.emphasis == "Original"
    response = alice.post("txt2img", {"override_settings": {"comma_padding_backtrack": 76}})
    assert response.status_code == 422


def test_lora_rank_can_be_limited(alice, ink) -> None:
    for tag, rank in (("dyn=4", 4), ("0.5:0.5:8", 8), ("0.5", None), ("dyn=1e9", 4096)):
        (use,) = alice.submit(prompt=f"<lora:ink:{tag}>").generation_request.loras
        assert use.rank == rank, tag


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": 33 * "<lora:ink-v2:0.1>"}, "prompt"),
        ({"enable_hr": True, "denoising_strength": 0.5, "hr_prompt": 33 * "<lora:ink-v2:0.1>"}, "hr_prompt"),
    ],
)
def test_too_many_loras_are_rejected_at_the_wire_field(alice, ink, body, field) -> None:
    (entry,) = alice.post("txt2img", body).json()["detail"]
    assert (entry["loc"], entry["msg"]) == (["body", field], "ensure this value has at most 32 LoRAs")
    assert (entry["type"], entry["ctx"]) == ("value_error.list.max_items", {"limit_value": 32})


def test_prompt_in_an_unknown_language_has_a_warning(alice, source, complete, info) -> None:
    job = alice.submit(prompt="一只小狗")
    complete(job)
    (warning,) = info(alice.result(job))["warnings"]
    assert "Chinese" in warning
    source.strict = True
    source.save()
    response = alice.post("txt2img", {"prompt": "a dog", "negative_prompt": "丑"})
    (entry,) = response.json()["detail"]
    assert (response.status_code, entry["loc"], entry["msg"]) == (422, ["body", "prompt"], warning)
