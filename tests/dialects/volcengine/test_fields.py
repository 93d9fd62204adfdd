"""Fields of CVProcess: their effect on the GenerationRequest, and the errors of invalid values."""

import pytest

from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import StylePreset
from tests.dialects.volcengine.conftest import encoded, png
from tests.support import web_server
from tests.support.editing_checkpoint import editing_checkpoint

TABLE = "volcengine_cvprocess"

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture
def submitted(alice, body):
    """Submits a body with these fields, and returns the job's GenerationRequest."""
    return lambda **fields: alice.submit({**body, **fields}).generation_request


@pytest.fixture
def refused(alice, body):
    """Sends a body that must be refused without a job, and returns the HTTP status and the code."""

    def refuse(**fields) -> tuple[int, int]:
        sent = {name: value for name, value in {**body, **fields}.items() if value is not ...}
        response = alice.call("CVProcess", sent)
        assert Job.objects.count() == 0
        assert response.json()["data"] is None
        return response.status_code, response.json()["code"]

    return refuse


PARSE, INVALID, MISSING = (400, 50204), (400, 50200), (400, 50201)


@pytest.mark.field("volcengine_cvprocess", "req_key")
def test_req_key_selects_a_style_with_or_without_usage(submitted, style, checkpoint) -> None:
    for key in ("img2img_pastel_boys_style_usage", "img2img_pastel_boys_style"):
        assert submitted(req_key=key).checkpoint == checkpoint.name


@pytest.mark.field("volcengine_cvprocess", "req_key")
def test_unknown_or_unavailable_req_key_is_access_denied(refused, style, other_source) -> None:
    assert refused(req_key=...) == MISSING
    assert refused(req_key=7) == PARSE
    assert refused(req_key="img2img_nothing") == refused(sub_req_key="nothing") == (401, 50400)
    style.allowed_sources.add(other_source)
    assert refused() == (401, 50400)
    style.allowed_sources.clear()
    StylePreset.objects.update(enabled=False)
    assert refused() == (401, 50400)


def test_sub_req_key_selects_a_variant(submitted, style, checkpoint) -> None:
    StylePreset.objects.create(key=style.key, variant="monet", checkpoint=checkpoint, steps=7)
    assert submitted(sub_req_key="monet").num_inference_steps == 7


@pytest.mark.field("volcengine_cvprocess", "binary_data_base64")
def test_base64_image_is_the_input(submitted, image) -> None:
    request = submitted()
    assert (request.task, read_input(request.init_images[0].sha256)) == ("img2img", image)


@pytest.mark.field("volcengine_cvprocess", "image_urls")
def test_image_url_is_fetched_unless_there_is_base64(submitted, source, image) -> None:
    source.reachable = ["127.0.0.1"]
    source.save()
    web = web_server.WebServer()
    web.answers["/a.png"] = web_server.answer(200, image)
    request = submitted(binary_data_base64=[], image_urls=[web.url("/a.png")])
    assert read_input(request.init_images[0].sha256) == image
    other = png(64, 64)
    both = submitted(binary_data_base64=[encoded(other)], image_urls=[web.url("/a.png")])
    assert read_input(both.init_images[0].sha256) == other
    web.close()


def test_url_of_a_local_address_is_not_fetched(refused) -> None:
    assert refused(binary_data_base64=..., image_urls=["http://127.0.0.1/a.png"]) == (400, 50207)


@pytest.mark.field("volcengine_cvprocess", "图片要求")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([], 50201),
        ([""], 50206),
        (["data:image/png;base64," + encoded(png(64, 64))], 50207),
        (["no base64!"], 50207),
        ([encoded(b"no image")], 50207),
        ([encoded(png(64, 64, "GIF"))], 50207),
        ([encoded(png(64, 64))] * 2, 50200),
        ([encoded(png(4104, 2000))], 50205),
        ([encoded(png(200, 64))], 50205),
        ([encoded(png(64, 64) + b"\0" * 5 * 1024 * 1024)], 50205),
        ("text", 50204),
        ([7], 50204),
    ],
)
def test_each_kind_of_invalid_image_has_its_code(refused, data, code) -> None:
    assert refused(binary_data_base64=data) == (400, code)


@pytest.mark.field("volcengine_cvprocess", "prompt")
def test_prompt_is_required_and_inserted_into_the_styles_prompt(submitted, refused, style) -> None:
    assert refused(prompt=...) == refused(prompt="") == refused(prompt=[]) == MISSING
    assert refused(prompt=["x"]) == refused(prompt="a\0b") == PARSE
    assert refused(prompt="x" * 32_001) == INVALID
    StylePreset.objects.update(prompt="a painting of {prompt}, soft", negative_prompt="dark")
    assert (submitted().prompt, submitted().negative_prompt) == ("a painting of a red circle, soft", "dark")


def test_other_styles_need_no_prompt(submitted) -> None:
    StylePreset.objects.update(prompt_required=False, prompt="soft")
    assert submitted(prompt=[]).prompt == submitted(prompt=None).prompt == "soft"


NUMBERS = [
    ("strength", "strength", 0.6, 0.9, (-0.1, 1.1)),
    ("scale", "guidance_scale", 8, 7, (-1, 1e9)),
    ("ddim_steps", "num_inference_steps", 20, 25, (0, 101, 10**30)),
    ("clip_skip", "clip_skip", 1, 2, (0, 4)),
]


@pytest.mark.field("volcengine_cvprocess", "strength", "scale", "ddim_steps", "clip_skip")
@pytest.mark.parametrize(("field", "name", "default", "suggested", "out"), NUMBERS)
def test_numbers_have_the_documented_defaults_and_ranges(
    submitted, refused, field, name, default, suggested, out
) -> None:
    for number in out:
        assert refused(**{field: number}) == INVALID
    for other in ("0.5", True, [1], {}):
        assert refused(**{field: other}) == PARSE
    assert getattr(submitted(), name) == default
    assert getattr(submitted(**{field: None}), name) == default
    assert getattr(submitted(**{field: suggested}), name) == suggested


@pytest.mark.field("volcengine_cvprocess", "seed")
def test_seed_is_kept_and_minus_one_is_random(submitted, refused) -> None:
    assert refused(seed=-2) == refused(seed=2**64) == INVALID
    assert submitted(seed=7).seed == 7
    assert submitted(seed=-1).seed != submitted().seed


@pytest.mark.field("volcengine_cvprocess", "lora_multipers")
def test_lora_multipers_are_weights_of_the_styles_loras(submitted, refused, style) -> None:
    assert submitted().loras == submitted(lora_multipers={}).loras == ()
    wanted = {"shanzhagaoSomeSortOf_v1Epoch10": 0.4, "Colorwater_v4": 0.2, "Moxin_Shukezouma11": 0}
    assert {lora.name: lora.unet for lora in submitted(lora_multipers=wanted).loras} == {
        "Colorwater_v4": 0.2,
        "shanzhagaoSomeSortOf_v1Epoch10": 0.4,
    }
    Job.objects.all().delete()
    assert refused(lora_multipers={"unknown": 1}) == refused(lora_multipers={"Colorwater_v4": 9}) == INVALID
    assert refused(lora_multipers=[1]) == refused(lora_multipers={"Colorwater_v4": "1"}) == PARSE


def test_lora_map_has_weights_for_unet_and_text_encoder(submitted, style) -> None:
    (lora,) = submitted(lora_map={"Colorwater_v4": {"strength_model": 0.5, "strength_clip": 0.25}}).loras
    assert (lora.unet, lora.text_encoder) == (0.5, 0.25)


@pytest.mark.field("volcengine_cvprocess", "canny_weight")
def test_canny_weight_is_the_weight_of_the_controlnet(submitted, refused, canny) -> None:
    assert refused(canny_weight=1.1) == INVALID
    (unit,) = submitted(canny_weight=0.8).controls
    assert (unit.model, unit.module, unit.weight, unit.image) == ("canny", "canny", 0.8, None)
    assert submitted().controls[0].weight == 1
    assert submitted(canny_weight=0).controls == ()


def test_missing_controlnet_is_refused_unless_optional(submitted, alice, body, canny) -> None:
    canny.enabled = False
    canny.save()
    response = alice.call("CVProcess", body).json()
    assert response["code"] == 50200
    assert "canny_weight" in response["message"]
    assert submitted(canny_weight=0).controls == ()
    StylePreset.objects.update(control_optional=True)
    assert submitted().controls == ()


@pytest.mark.field("volcengine_cvprocess", "i2i_keep_texture")
def test_keep_texture_is_a_switch(submitted, refused) -> None:
    assert refused(i2i_keep_texture=2) == PARSE
    assert submitted().keep_texture is True
    assert submitted(i2i_keep_texture=0).keep_texture is False


@pytest.mark.field("volcengine_cvprocess", "long_resolution")
def test_long_resolution_is_the_long_side(submitted, refused) -> None:
    assert refused(long_resolution=32) == refused(long_resolution=4096) == INVALID
    assert [(request.width, request.height) for request in (submitted(), submitted(long_resolution=512))] == [
        (704, 352),
        (512, 256),
    ]


@pytest.mark.field("volcengine_cvprocess", "id_scale")
def test_recommended_face_identity_is_accepted_with_a_note(submitted, refused) -> None:
    assert refused(id_scale=-1) == refused(id_scale=2) == INVALID
    assert submitted(id_scale=0.5).face_identity == 0
    job = Job.objects.latest("created_at")
    assert (job.received["id_scale"], "id_scale 0.5 had no effect" in job.transitions.get().note) == (
        0.5,
        True,
    )
    assert submitted(id_scale=0).face_identity == 0
    assert Job.objects.latest("created_at").transitions.get().note == ""


def test_face_identity_is_refused_for_a_strict_source(alice, body, source) -> None:
    source.strict = True
    source.save()
    response = alice.call("CVProcess", {**body, "id_scale": 0.5}).json()
    assert response["code"] == 50200
    assert "id_scale must be 0: IP-Adapter" in response["message"]


def test_limit_of_a_source_names_the_vendors_field(alice, body, source) -> None:
    source.max_steps = 10
    source.save()
    response = alice.call("CVProcess", {**body, "ddim_steps": 25}).json()
    assert response["code"] == 50200
    assert "ddim_steps" in response["message"]
    assert "25" in response["message"]


@pytest.mark.field("volcengine_cvprocess", "logo_info", "logo_info.add_logo", "logo_info.position")
@pytest.mark.field("volcengine_cvprocess", "logo_info.language", "logo_info.opacity")
def test_logo_info_becomes_a_label(submitted, refused) -> None:
    assert refused(logo_info=[]) == refused(logo_info={"add_logo": "yes"}) == PARSE
    for wrong in ({"position": 4}, {"language": 2}, {"opacity": 1.1}, {"logo_text_content": "x" * 201}):
        assert refused(logo_info=wrong) == INVALID
    assert submitted(logo_info={"position": 1}).labels == ()
    (label,) = submitted(logo_info={"add_logo": True}).labels
    assert (label.text, label.corner, label.opacity) == ("AI生成", "bottom-right", 0.3)
    corners = [submitted(logo_info={"add_logo": True, "position": n}).labels[0].corner for n in range(4)]
    assert corners == ["bottom-right", "bottom-left", "top-left", "top-right"]
    logo = {"add_logo": True, "language": 1, "opacity": 0.5}
    assert submitted(logo_info=logo).labels[0].text == "Generated by AI"
    assert submitted(logo_info={**logo, "logo_text_content": "画坊"}).labels[0].text == "画坊"


def test_aigc_meta_becomes_an_entry_in_the_file(submitted, refused) -> None:
    assert refused(aigc_meta={}) == MISSING
    assert refused(aigc_meta={"producer_id": "x" * 257}) == INVALID
    (mark,) = submitted(aigc_meta={"producer_id": "p-1", "content_producer": "画坊"}).marks
    assert (mark.key, mark.text) == ("AIGC", '{"Label": "1", "ContentProducer": "画坊", "ProduceID": "p-1"}')


def test_unknown_fields_are_ignored(submitted) -> None:
    assert submitted(tagger_settings={"switch": False}, cn_mode=0, sub_prompts=[""]).prompt == "a red circle"


def test_txt2img_style_needs_no_image(alice, checkpoint) -> None:
    StylePreset.objects.create(key="high_aes_general_v14", task="txt2img", checkpoint=checkpoint)
    sent = {"req_key": "high_aes_general_v14", "prompt": "a star", "width": 261, "height": 512}
    request = alice.submit(sent).generation_request
    assert (request.task, request.width, request.height) == ("txt2img", 264, 512)


def test_error_gives_the_range_in_full(alice, body) -> None:
    message = alice.call("CVProcess", {**body, "seed": -2}).json()["message"]
    assert message == "Invalid Arguments: seed must be from -1 to 18446744073709551615"


def test_lora_tag_in_the_prompt_is_refused(refused) -> None:
    assert refused(prompt="a <lora:ink:1>") == INVALID


@pytest.mark.parametrize("number", [10**400, -(10**400)])
@pytest.mark.parametrize(
    "field",
    ["strength", "scale", "seed", "ddim_steps", "clip_skip", "canny_weight", "id_scale", "long_resolution"],
)
def test_number_beyond_a_float_is_refused(alice, body, field, number):
    response = alice.call("CVProcess", body | {field: number})
    assert (response.status_code, response.json()["code"]) == (400, 50200), response.json()


@pytest.mark.parametrize(
    "part",
    [
        {"lora_multipers": {"Colorwater_v4": 10**400}},
        {"lora_map": {"Moxin_Shukezouma11": {"strength_clip": -(10**400)}}},
        {"logo_info": {"position": 10**400}},
        {"logo_info": {"opacity": 10**400}},
    ],
)
def test_number_beyond_a_float_in_a_part_is_refused(alice, body, part):
    response = alice.call("CVProcess", body | part)
    assert (response.status_code, response.json()["code"]) == (400, 50200), response.json()


@pytest.mark.parametrize("text", ["a" * 100_000, "9" * 5000, '{"Colorwater_v4": 1}', "", "[]"])
@pytest.mark.parametrize("field", ["lora_multipers", "lora_map", "logo_info", "aigc_meta"])
def test_text_in_place_of_an_object_is_refused(alice, body, field, text):
    response = alice.call("CVProcess", body | {field: text})
    assert (response.status_code, response.json()["code"]) == (400, 50204), response.json()


@pytest.mark.field("volcengine_cvprocess", "binary_data_base64")
def test_several_images_are_references_of_a_style_whose_checkpoint_edits(alice, checkpoint):
    fields = {"steps": 4, "sampler": "Euler", "strength": 0.6, "long_side": 250}
    StylePreset.objects.create(key="edit", checkpoint=editing_checkpoint(), **fields)
    images = [encoded(png(250, side)) for side in (120, 124, 128, 132, 136)]
    body = {"req_key": "edit", "prompt": "make it blue"}
    one = alice.submit({**body, "binary_data_base64": images[:1]}).generation_request
    assert (one.task, one.strength, one.width, one.height) == ("img2img", 1.0, 240, 112)
    assert (
        alice.submit({**body, "binary_data_base64": images[:1], "strength": 0.4}).generation_request.strength
        == 0.4
    )
    several = alice.submit({**body, "binary_data_base64": images[:4]}).generation_request
    assert (several.task, len(several.images), several.width, several.height) == ("txt2img", 4, 240, 112)
    refused = alice.call("CVProcess", {**body, "binary_data_base64": images})
    assert "must have at most 4 images (got 5)" in refused.json()["message"]
