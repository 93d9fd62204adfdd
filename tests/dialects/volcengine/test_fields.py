"""What each field of CVProcess does to the canonical request, and how it is refused."""

import pytest

from jobs.images.storage import read_input
from jobs.models import Job
from models_registry.models import StylePreset
from tests.dialects.volcengine.conftest import encoded, png
from tests.support.web_server import WebServer, answer

TABLE = "volcengine_cvprocess"

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(alice, body):
    """The canonical request that a body with these fields becomes."""
    return lambda **fields: alice.submit({**body, **fields}).generation_request


@pytest.fixture
def refused(alice, body):
    """HTTP status and code, and nothing was begun."""

    def refuse(**fields) -> tuple[int, int]:
        sent = {name: value for name, value in {**body, **fields}.items() if value is not ...}
        response = alice.call("CVProcess", sent)
        assert Job.objects.count() == 0
        assert response.json()["data"] is None
        return response.status_code, response.json()["code"]

    return refuse


PARSE, INVALID, MISSING = (400, 50204), (400, 50200), (400, 50201)


@pytest.mark.field("volcengine_cvprocess", "req_key")
def test_req_key_names_a_style_with_or_without_usage(asked, style, checkpoint) -> None:
    for key in ("img2img_pastel_boys_style_usage", "img2img_pastel_boys_style"):
        assert asked(req_key=key).checkpoint == checkpoint.name


@pytest.mark.field("volcengine_cvprocess", "req_key")
def test_unknown_req_key_is_refused_as_the_vendor_does(refused, style, other_source) -> None:
    assert refused(req_key=...) == MISSING
    assert refused(req_key=7) == PARSE
    assert refused(req_key="img2img_nothing") == refused(sub_req_key="nothing") == (401, 50400)
    style.allowed_sources.add(other_source)
    assert refused() == (401, 50400)
    style.allowed_sources.clear()
    StylePreset.objects.update(enabled=False)
    assert refused() == (401, 50400)


def test_sub_req_key_picks_a_variant(asked, style, checkpoint) -> None:
    StylePreset.objects.create(key=style.key, variant="monet", checkpoint=checkpoint, steps=7)
    assert asked(sub_req_key="monet").num_inference_steps == 7


@pytest.mark.field("volcengine_cvprocess", "binary_data_base64")
def test_base64_brings_the_one_picture(asked, picture) -> None:
    request = asked()
    assert (request.task, read_input(request.init_images[0].sha256)) == ("img2img", picture)


@pytest.mark.field("volcengine_cvprocess", "image_urls")
def test_a_url_brings_it_and_an_empty_list_beside_it_is_none(asked, source, picture) -> None:
    source.reachable = ["127.0.0.1"]
    source.save()
    web = WebServer()
    web.answers["/a.png"] = answer(200, picture)
    request = asked(binary_data_base64=[], image_urls=[web.url("/a.png")])
    assert read_input(request.init_images[0].sha256) == picture
    other = png(64, 64)
    both = asked(binary_data_base64=[encoded(other)], image_urls=[web.url("/a.png")])
    assert read_input(both.init_images[0].sha256) == other
    web.close()


def test_a_local_url_is_not_called(refused) -> None:
    assert refused(binary_data_base64=..., image_urls=["http://127.0.0.1/a.png"]) == (400, 50207)


@pytest.mark.field("volcengine_cvprocess", "图片要求")
@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([], 50201),
        ([""], 50206),
        (["data:image/png;base64," + encoded(png(64, 64))], 50207),
        (["no base64!"], 50207),
        ([encoded(b"no picture")], 50207),
        ([encoded(png(64, 64, "GIF"))], 50207),
        ([encoded(png(64, 64))] * 2, 50200),
        ([encoded(png(4104, 2000))], 50205),
        ([encoded(png(200, 64))], 50205),
        ([encoded(png(64, 64) + b"\0" * 5 * 1024 * 1024)], 50205),
        ("text", 50204),
        ([7], 50204),
    ],
)
def test_bad_pictures_are_told_apart(refused, data, code) -> None:
    assert refused(binary_data_base64=data) == (400, code)


@pytest.mark.field("volcengine_cvprocess", "prompt")
def test_prompt_is_needed_and_goes_into_the_styles_words(asked, refused, style) -> None:
    assert refused(prompt=...) == refused(prompt="") == refused(prompt=[]) == MISSING
    assert refused(prompt=["x"]) == refused(prompt="a\0b") == PARSE
    assert refused(prompt="x" * 20_001) == INVALID
    StylePreset.objects.update(prompt="a painting of {prompt}, soft", negative_prompt="dark")
    assert (asked().prompt, asked().negative_prompt) == ("a painting of a red circle, soft", "dark")


def test_other_styles_need_no_prompt(asked) -> None:
    StylePreset.objects.update(prompt_required=False, prompt="soft")
    assert asked(prompt=[]).prompt == asked(prompt=None).prompt == "soft"


NUMBERS = [
    ("strength", "strength", 0.6, 0.9, (-0.1, 1.1)),
    ("scale", "guidance_scale", 8, 7, (-1, 1e9)),
    ("ddim_steps", "num_inference_steps", 20, 25, (0, 101, 10**30)),
    ("clip_skip", "clip_skip", 1, 2, (0, 4)),
    ("id_scale", "face_identity", 0, 0, (-1, 2)),
]


@pytest.mark.field("volcengine_cvprocess", "strength", "scale", "ddim_steps", "clip_skip")
@pytest.mark.parametrize(("field", "name", "default", "suggested", "out"), NUMBERS)
def test_numbers_have_the_documents_defaults_and_ranges(
    asked, refused, field, name, default, suggested, out
) -> None:
    for number in out:
        assert refused(**{field: number}) == INVALID
    for other in ("0.5", True, [1], {}):
        assert refused(**{field: other}) == PARSE
    assert getattr(asked(), name) == default
    assert getattr(asked(**{field: None}), name) == default
    assert getattr(asked(**{field: suggested}), name) == suggested


@pytest.mark.field("volcengine_cvprocess", "seed")
def test_seed_is_kept_and_minus_one_is_by_lot(asked, refused) -> None:
    assert refused(seed=-2) == refused(seed=2**32) == INVALID
    assert asked(seed=7).seed == 7
    assert asked(seed=-1).seed != asked().seed


@pytest.mark.field("volcengine_cvprocess", "lora_multipers")
def test_lora_multipers_weigh_the_styles_loras(asked, refused, style) -> None:
    assert asked().loras == asked(lora_multipers={}).loras == ()
    wanted = {"shanzhagaoSomeSortOf_v1Epoch10": 0.4, "Colorwater_v4": 0.2, "Moxin_Shukezouma11": 0}
    assert {lora.name: lora.unet for lora in asked(lora_multipers=wanted).loras} == {
        "Colorwater_v4": 0.2,
        "shanzhagaoSomeSortOf_v1Epoch10": 0.4,
    }
    Job.objects.all().delete()
    assert refused(lora_multipers={"nobody": 1}) == refused(lora_multipers={"Colorwater_v4": 9}) == INVALID
    assert refused(lora_multipers=[1]) == refused(lora_multipers={"Colorwater_v4": "1"}) == PARSE


def test_lora_map_weighs_the_two_halves(asked, style) -> None:
    (lora,) = asked(lora_map={"Colorwater_v4": {"strength_model": 0.5, "strength_clip": 0.25}}).loras
    assert (lora.unet, lora.text_encoder) == (0.5, 0.25)


@pytest.mark.field("volcengine_cvprocess", "canny_weight")
def test_canny_weight_is_the_controlnets(asked, refused, canny) -> None:
    assert refused(canny_weight=1.1) == INVALID
    (unit,) = asked(canny_weight=0.8).controls
    assert (unit.model, unit.module, unit.weight, unit.image) == ("canny", "canny", 0.8, None)
    assert asked().controls[0].weight == 1
    assert asked(canny_weight=0).controls == ()


def test_a_controlnet_that_is_not_there_is_told_unless_the_style_can_do_without(
    asked, alice, body, canny
) -> None:
    canny.enabled = False
    canny.save()
    told = alice.call("CVProcess", body).json()
    assert told["code"] == 50200
    assert "canny_weight" in told["message"]
    assert asked(canny_weight=0).controls == ()
    StylePreset.objects.update(control_optional=True)
    assert asked().controls == ()


@pytest.mark.field("volcengine_cvprocess", "i2i_keep_texture")
def test_keep_texture_is_a_switch(asked, refused) -> None:
    assert refused(i2i_keep_texture=2) == PARSE
    assert asked().keep_texture is True
    assert asked(i2i_keep_texture=0).keep_texture is False


@pytest.mark.field("volcengine_cvprocess", "long_resolution")
def test_long_resolution_is_the_long_side(asked, refused) -> None:
    assert refused(long_resolution=32) == refused(long_resolution=4096) == INVALID
    assert [(request.width, request.height) for request in (asked(), asked(long_resolution=512))] == [
        (704, 352),
        (512, 256),
    ]


@pytest.mark.field("volcengine_cvprocess", "id_scale")
def test_a_faces_identity_cannot_be_kept_and_that_is_said(asked, alice, body) -> None:
    told = alice.call("CVProcess", {**body, "id_scale": 0.5}).json()
    assert told["code"] == 50200
    assert "IP-Adapter" in told["message"]
    assert asked(id_scale=0).face_identity == 0


def test_a_sources_limit_is_told_in_the_vendors_words(alice, body, source) -> None:
    source.max_steps = 10
    source.save()
    told = alice.call("CVProcess", {**body, "ddim_steps": 25}).json()
    assert told["code"] == 50200
    assert "ddim_steps is 25" in told["message"]


@pytest.mark.field("volcengine_cvprocess", "logo_info", "logo_info.add_logo", "logo_info.position")
@pytest.mark.field("volcengine_cvprocess", "logo_info.language", "logo_info.opacity")
def test_logo_info_becomes_a_label(asked, refused) -> None:
    assert refused(logo_info=[]) == refused(logo_info={"add_logo": "yes"}) == PARSE
    for wrong in ({"position": 4}, {"language": 2}, {"opacity": 1.1}, {"logo_text_content": "x" * 201}):
        assert refused(logo_info=wrong) == INVALID
    assert asked(logo_info={"position": 1}).labels == ()
    (label,) = asked(logo_info={"add_logo": True}).labels
    assert (label.text, label.corner, label.opacity) == ("AI生成", "bottom-right", 0.3)
    corners = [asked(logo_info={"add_logo": True, "position": n}).labels[0].corner for n in range(4)]
    assert corners == ["bottom-right", "bottom-left", "top-left", "top-right"]
    logo = {"add_logo": True, "language": 1, "opacity": 0.5}
    assert asked(logo_info=logo).labels[0].text == "Generated by AI"
    assert asked(logo_info={**logo, "logo_text_content": "画坊"}).labels[0].text == "画坊"


def test_aigc_meta_is_a_hidden_mark(asked, refused) -> None:
    assert refused(aigc_meta={}) == MISSING
    assert refused(aigc_meta={"producer_id": "x" * 257}) == INVALID
    (mark,) = asked(aigc_meta={"producer_id": "p-1", "content_producer": "画坊"}).marks
    assert (mark.key, mark.text) == ("AIGC", '{"Label": "1", "ContentProducer": "画坊", "ProduceID": "p-1"}')


def test_unknown_fields_are_ignored_as_the_vendor_ignores_them(asked) -> None:
    assert asked(tagger_settings={"switch": False}, cn_mode=0, sub_prompts=[""]).prompt == "a red circle"


def test_words_alone_draw_where_the_style_says_so(alice, checkpoint) -> None:
    StylePreset.objects.create(key="high_aes_general_v14", task="txt2img", checkpoint=checkpoint)
    sent = {"req_key": "high_aes_general_v14", "prompt": "a star", "width": 261, "height": 512}
    request = alice.submit(sent).generation_request
    assert (request.task, request.width, request.height) == ("txt2img", 264, 512)


def test_a_range_is_told_to_the_last_digit(alice, body) -> None:
    told = alice.call("CVProcess", {**body, "seed": -2}).json()["message"]
    assert told == "Invalid Arguments: seed has to be from -1 to 4294967295"
