"""The unmodified ``webuiapi`` client, with real images."""

import threading

import pytest
from PIL import Image, ImageDraw

from gpu_runner.models.memory_budget import CacheEntry
from models_registry.models import Kind, ModelFile
from tests.support import face_files
from tests.support.demo_engine import demo_file
from tests.support.judge import judge

webuiapi = pytest.importorskip("webuiapi")

pytestmark = [pytest.mark.demo, pytest.mark.django_db(transaction=True)]

CIRCLE = {"prompt": "a red circle on a blue background", "steps": 12, "width": 128, "height": 128, "seed": 8}


@pytest.fixture
def api(platform, credentials):
    api = webuiapi.WebUIApi(baseurl=f"{platform}/sdapi/v1")
    api.set_auth(*credentials)
    api.check_extensions()
    return api


def contents(image: Image.Image) -> tuple[str, str, str]:
    verdict = judge(image)
    return verdict.color, verdict.shape, verdict.background


def test_txt2img_and_png_info(api) -> None:
    result = api.txt2img(**CIRCLE, batch_size=2, sampler_name="DPM++ 2M", scheduler="karras")
    assert [image.size for image in result.images] == [(128, 128)] * 2
    assert contents(result.image) == ("red", "circle", "blue")
    assert result.info["all_seeds"] == [8, 9]
    parsed = api.png_info(result.image)
    assert parsed.info == result.info["infotexts"][0]
    assert parsed.parameters["Sampler"] == "DPM++ 2M"


def test_img2img_with_and_without_a_mask(api) -> None:
    before = Image.new("RGB", (128, 128), (250, 220, 45))
    mask = Image.new("L", (128, 128))
    ImageDraw.Draw(mask).rectangle((64, 0, 127, 127), fill=255)
    result = api.img2img(
        images=[before], mask_image=mask, mask_blur=0, inpainting_fill=2, denoising_strength=1.0, inpaint_full_res=False,
        **CIRCLE,
    )  # fmt: skip
    assert result.image.crop((0, 0, 64, 128)).tobytes() == before.crop((0, 0, 64, 128)).tobytes()
    assert result.image.getpixel((124, 4)) != (250, 220, 45)
    changed = api.img2img(images=[before], denoising_strength=0.95, **CIRCLE)
    assert contents(changed.image)[0] == "red"


def test_control_map_follows_the_image(api) -> None:
    unit = webuiapi.ControlNetUnit(
        image=Image.new("RGB", (64, 64), "white"), module="reference_only", weight=0.5
    )
    result = api.txt2img(**CIRCLE, controlnet_units=[unit])
    assert len(result.images) == 2
    assert result.info["extra_generation_params"]["ControlNet 0"].startswith("Module: reference_only")


def test_client_lists_and_sets_the_checkpoint(api, demo_models) -> None:
    assert api.util_get_model_names() == [demo_models.title]
    api.util_set_model("atelier-shapes")
    assert api.util_get_current_model() == demo_models.title


def test_progress_and_interrupt(api) -> None:
    results = []
    client = threading.Thread(
        target=lambda: results.append(api.txt2img(**{**CIRCLE, "steps": 150, "width": 256, "height": 256}))
    )
    client.start()
    while api.get_progress()["state"]["sampling_step"] < 1:
        client.join(0.05)
    assert 0 < api.get_progress()["progress"] < 1
    api.interrupt()
    client.join()
    assert results[0].image.size == (256, 256)
    api.util_wait_for_ready(check_interval=0.05)


def test_other_calls_succeed(api) -> None:
    assert "Euler" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    api.skip()
    api.refresh_checkpoints()
    assert "controlnet" in api.get_scripts()["txt2img"]
    assert api.controlnet_version() == 3
    assert "canny" in api.controlnet_module_list()
    for name in ("options", "cmd_flags", "progress", "sd_vae", "upscalers", "latent_upscale_modes", "loras", "memory",
                 "hypernetworks", "face_restorers", "realesrgan_models", "prompt_styles", "embeddings"):  # fmt: skip
        assert isinstance(getattr(api, f"get_{name}")(), dict | list)


def test_extras_upscale_an_image(api) -> None:
    result = api.extra_single_image(
        Image.new("RGB", (64, 64), "red"), upscaler_1="Lanczos", upscaling_resize=2
    )
    assert (result.image.size, result.image.getpixel((64, 64))) == ((128, 128), (255, 0, 0))


def test_an_image_is_described_by_tags(api, demo_tagger) -> None:
    image = Image.new("RGB", (256, 256), (40, 70, 220))
    ImageDraw.Draw(image).ellipse((60, 60, 196, 196), fill=(225, 35, 40))
    assert api.interrogate(image, model="deepdanbooru").info == "blue background, circle, red"


def test_faces_are_restored(api, studio) -> None:
    """With the demo models' face detector, and a restorer without weights that paints faces green."""
    sha256 = "f" * 64
    studio.store.add(f"face_restorer:{sha256}", CacheEntry(face_files.painter(key=sha256), 1))
    for kind, path, digest in (
        (Kind.FACE_DETECTOR, face_files.YUNET, demo_file(face_files.YUNET).sha256),
        (Kind.FACE_RESTORER, "face_restoration/GFPGANv1.4.pth", sha256),
    ):
        ModelFile.objects.create(kind=kind, name=path.rpartition("/")[2], path=path, sha256=digest)
    before = face_files.photograph()
    result = api.extra_single_image(before, gfpgan_visibility=1, upscaling_resize=1)
    assert result.image.getpixel((162, 120)) == (0, 255, 0)
    assert result.image.crop((0, 200, 320, 320)).tobytes() == before.crop((0, 200, 320, 320)).tobytes()
    assert "GFPGAN" in [restorer["name"] for restorer in api.get_face_restorers()]
    generated = api.txt2img(**CIRCLE, restore_faces=True)
    assert (generated.info["restore_faces"], contents(generated.image)) == (True, ("red", "circle", "blue"))


def test_adetailer_paints_the_face_only(api) -> None:
    """With the unit of the client, whose fields are those of an older version of the extension."""
    assert api.has_adetailer
    file = demo_file(face_files.YUNET)
    ModelFile.objects.create(kind=Kind.FACE_DETECTOR, name="yunet", path=file.path, sha256=file.sha256)
    before = face_files.photograph()
    unit = webuiapi.ADetailer(
        ad_model="face_yolov8n.pt",
        ad_prompt="a red square on a red background",
        ad_denoising_strength=1.0,
        ad_inpaint_only_masked_padding=0,
    )
    size = {"width": 128, "height": 128, "steps": 10, "seed": 3}
    whole = api.img2img(
        images=[before], adetailer=[unit], denoising_strength=0.0, **size | {"width": 320, "height": 320}
    )
    assert whole.info["extra_generation_params"]["ADetailer model"] == "face_yolov8n.pt"
    assert "ADetailer prompt: a red square on a red background" in whole.info["infotexts"][0]
    red, green, blue = whole.image.getpixel((162, 120))
    assert red > max(green, blue) + 40
    without = api.img2img(images=[before], denoising_strength=0.0, **size | {"width": 320, "height": 320})
    assert whole.image.crop((0, 210, 320, 320)).tobytes() == without.image.crop((0, 210, 320, 320)).tobytes()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda api: api.txt2img(prompt="x", restore_faces=True), "restore_faces"),
        (lambda api: api.interrogate(Image.new("RGB", (8, 8))), "captioning model"),
    ],
)
def test_rejected_request_is_a_runtime_error(api, call, message) -> None:
    with pytest.raises(RuntimeError, match=message):
        call(api)
