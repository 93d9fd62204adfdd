"""The client that most Python programs use, unchanged, over real HTTP."""

import pytest
from PIL import Image

webuiapi = pytest.importorskip("webuiapi")

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def api(worker, alice, live_server):
    api = webuiapi.WebUIApi(baseurl=f"{live_server.url}/sdapi/v1")
    api.set_auth(alice.key.key_id, alice.secret)
    return api


def test_it_draws_from_text(api) -> None:
    result = api.txt2img(prompt="a red circle", seed=5, width=64, height=64, batch_size=2)
    assert [picture.size for picture in result.images] == [(64, 64), (64, 64)]
    assert result.info["all_seeds"] == [5, 6]
    assert result.image.info["parameters"] == "Seed: 5"
    assert result.parameters["sampler_name"] == "Euler a"


def test_it_draws_from_a_picture(api) -> None:
    result = api.img2img(images=[Image.new("RGB", (64, 64))], prompt="x", width=64, height=64)
    assert result.image.size == (64, 64)


def test_it_finds_and_sets_the_model(api, checkpoint) -> None:
    assert api.util_get_model_names() == [checkpoint.title]
    api.util_set_model("shapes")
    assert api.util_get_current_model() == checkpoint.title


def test_its_other_calls_answer(api) -> None:
    api.util_wait_for_ready()
    assert "Euler" in api.util_get_sampler_names()
    assert "karras" in api.util_get_scheduler_names()
    api.interrupt()
    api.skip()
    api.refresh_checkpoints()
    assert "controlnet" in api.get_scripts()["txt2img"]
    for name in ("options", "cmd_flags", "progress", "sd_vae", "upscalers", "latent_upscale_modes", "loras", "memory",
                 "hypernetworks", "face_restorers", "realesrgan_models", "prompt_styles", "embeddings"):  # fmt: skip
        assert isinstance(getattr(api, f"get_{name}")(), dict | list)


def test_a_refusal_is_its_runtime_error(api) -> None:
    with pytest.raises(RuntimeError, match="restore_faces"):
        api.txt2img(prompt="x", restore_faces=True)
