"""LoRA tags in prompts of APIs that name LoRAs in a field."""

import pytest

from gpu_runner.protocol import GenerationRequest
from jobs.admission.model_choice.lora_tags import refuse_tags, with_tagged_loras
from jobs.errors import Unsupported
from models_registry.models import Family, Kind, ModelFile


@pytest.fixture(autouse=True)
def loras(db):
    for name in ("ink", "oil"):
        path = f"loras/{name}.safetensors"
        ModelFile.objects.create(kind=Kind.LORA, family=Family.SD15, name=name, path=path, sha256=name * 21)


def used(source, **fields) -> list[tuple[str, float, float]]:
    request = with_tagged_loras(GenerationRequest(**fields), source)
    return [(lora.name, lora.unet, lora.text_encoder) for lora in request.loras]


def test_tags_are_added_to_the_loras(source):
    assert used(source, prompt="a dog <lora:ink:0.8> <lora:oil.safetensors:te=1:unet=0.5>") == [
        ("ink", 0.8, 0.8),
        ("oil", 0.5, 1.0),
    ]
    assert used(source, negative_prompt="<lora:ink:0.8>") == []


def test_lora_that_is_named_in_the_field_keeps_its_weights(source):
    fields = {"loras": [{"name": "ink", "unet": 0.3}], "prompt": "<lora:ink:0.8> <lora:oil:1>"}
    assert used(source, **fields) == [("ink", 0.3, 1.0), ("oil", 1.0, 1.0)]


def test_hires_pass_has_its_own_tags(source):
    hires = {"width": 128, "height": 128, "prompt": "<lora:oil:0.2>"}
    request = with_tagged_loras(GenerationRequest(prompt="<lora:ink:1>", hires=hires), source)
    assert [lora.name for lora in request.loras] == ["ink"]
    assert [lora.name for lora in request.hires.loras] == ["oil"]
    plain = GenerationRequest(prompt="<lora:ink:1>", hires={"width": 128, "height": 128, "prompt": "a dog"})
    assert with_tagged_loras(plain, source).hires.loras is None


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("<lora:missing:1>", "<lora:missing> in the prompt cannot be used"),
        ("<lora:ink:much>", "must be a finite number"),
        ("<lora:ink:99>", "the weights must be from -10 to 10"),
        ("<hypernet:ink:1>", "models of this kind are not supported"),
        ("<lora:ink:1>" * 33, "33 LoRAs; 32 is the most"),
    ],
)
def test_unusable_tags_are_refused(source, prompt, reason):
    with pytest.raises(Unsupported, match=reason) as caught:
        with_tagged_loras(GenerationRequest(prompt=prompt), source)
    assert caught.value.field == "prompt"


def test_apis_without_the_syntax_refuse_tags():
    refuse_tags("a dog < cat > <3", "loras")
    with pytest.raises(Unsupported, match="<lora:ink> in the prompt is not supported: use loras"):
        refuse_tags("a dog <lora:ink:1>", "loras")
