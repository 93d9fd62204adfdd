"""Every path of the vendor's menus of image editing, video, 3D and chat answers in the vendor's shape."""

import pytest

from tests.dialects.stablediffusionapi.conftest import data_uri, png

pytestmark = [pytest.mark.slow, pytest.mark.django_db]

V5 = (
    *("outpaint", "blip_diffusion", "magic_mix", "depth2img", "img_mixer", "image_mixer", "pix2pix"),
    *("removebg_mask", "super_resolution", "inpaint", "mixture_canvas", "object_removal", "interior"),
    *("multiview", "fashion", "text2video", "fetch", "fetch/7"),
)
V6 = (
    *("removebg_mask", "super_resolution", "outpaint", "inpaint", "object_removal", "caption"),
    *("blip_diffusion", "img_mixer", "mask_creator", "face_gen", "head_shot", "flux_headshot"),
    *("fashion", "qwen_edit", "fetch", "fetch/7"),
)
OTHERS = (
    "v6/images/img2img",  # with flux-kontext-dev
    *(f"v6/faceswap/{name}" for name in ("single_face_swap", "multiple_face_swap", "fetch/7")),
    *(f"v6/faceswap/{name}" for name in ("single_video_swap", "specific_video_swap")),
    *(f"v6/video/{name}" for name in ("text2video", "img2video", "text2video_ultra", "img2video_ultra")),
    *(f"v6/video/{name}" for name in ("video2video", "scene_maker", "watermark_remover", "fetch/7")),
    *("v3/text2video", "v4/dreambooth/text2video"),
    *("v3/txt_to_3d", "v6/3d/text_to_3d", "v6/3d/image_to_3d", "v6/3d/fetch/7"),
    *("v6/llm/uncensored_chat", "v6/llm/chat/completions"),
    *("v3/nsfw_image_check", "v1/enterprise/nsfw_image_check", "v3/check_nsfw_cp", "v3/delete_image"),
    *("v3/base64_crop", "v4/dreambooth/model_list", "v3/finetune_list", "v3/clear_cache"),
)
PATHS = [*(f"v5/{name}" for name in V5), *(f"v6/image_editing/{name}" for name in V6), *OTHERS]


@pytest.mark.parametrize("real_status", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_the_menu_is_unknown(alice, settings, path, real_status):
    settings.STABLEDIFFUSIONAPI_REAL_STATUS = real_status
    image = data_uri(png())
    body = {"prompt": "x", "image": image, "init_image": image, "mask_image": image, "request_id": 7}
    response = alice.post(path, model_id="flux-kontext-dev" if "img2img" in path else "", **body)
    answer = response.json()
    assert "Endpoint not found" not in str(answer)
    assert isinstance(answer, list) or answer["status"] in ("success", "processing", "error")
    if "/fetch" not in path or path.startswith(("v6/faceswap", "v6/3d")):
        assert response.status_code != 404


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("v5/blip_diffusion", "BLIP-Diffusion"),
        ("v6/image_editing/img_mixer", "magic_mix"),
        ("v6/image_editing/mask_creator", "mask_image"),
        ("v6/image_editing/face_gen", "forbid commercial use"),
        ("v6/image_editing/head_shot", "forbid commercial use"),
        ("v6/image_editing/flux_headshot", "forbid commercial use"),
        ("v6/image_editing/fashion", "try-on"),
        ("v6/image_editing/qwen_edit", "pix2pix"),
        ("v6/faceswap/single_face_swap", "forbid commercial use"),
        ("v5/text2video", "no video models"),
        ("v4/dreambooth/text2video", "no video models"),
        ("v6/video/img2video", "no video models"),
        ("v3/txt_to_3d", "no 3D models"),
        ("v6/3d/image_to_3d", "no 3D models"),
        ("v6/llm/uncensored_chat", "no chat"),
    ],
)
def test_refused_tool_gives_its_reason_after_the_key(alice, path, reason):
    body = alice.post(path).json()
    assert body["status"] == "error"
    assert body["message"] == body["messege"]
    assert reason in body["message"]
    assert f"/api/{'/'.join(path.split('/')[:2])}" in body["message"]
    assert alice.post(path, key="no:key").json()["message"] == "Invalid Api Key"


def test_flux_kontext_is_an_unknown_model_unless_the_registry_has_it(alice, red):
    body = {"model_id": "flux-kontext-dev", "prompt": "x", "init_image": red}
    response = alice.post("v6/images/img2img", **body)
    assert (response.status_code, response.json()["message"]) == (400, "Model not found: flux-kontext-dev")
