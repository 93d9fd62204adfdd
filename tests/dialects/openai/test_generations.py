"""POST /v1/images/generations: every field, the answer, and jobs that take longer than the request may wait."""

import pytest
from django.utils import timezone

from jobs.models import Job, Lane, State
from models_registry.models import Family, Kind, ModelFile, PromptStyle
from tests.dialects.openai.conftest import PROMPT, pixels_of
from tests.support import fake_runner as behaviors

pytestmark = pytest.mark.slow


def request_of(alice, **body):
    return alice.admitted(**body).generation_request


# Fields


@pytest.mark.field("openai_images", "prompt")
def test_prompt_is_the_prompt_with_its_lora_tags(alice):
    ModelFile.objects.create(
        kind=Kind.LORA, family=Family.SD15, name="night", path="loras/night.safetensors", sha256="2" * 64
    )
    request = request_of(alice, prompt="a (red:1.2) circle <lora:night:0.5>")
    assert request.task == "txt2img"
    assert request.prompt == "a (red:1.2) circle <lora:night:0.5>"
    assert [(lora.name, lora.unet) for lora in request.loras] == [("night", 0.5)]


def test_prompt_may_have_32000_characters(alice):
    text = "a " * 16_000
    assert request_of(alice, prompt=text).prompt == text


@pytest.mark.field("openai_images", "model")
@pytest.mark.parametrize("name", [None, "shapes", "checkpoints/shapes.safetensors", "circles"])
def test_model_is_a_checkpoint_by_any_of_its_names(alice, checkpoint, name):
    checkpoint.aliases = ["circles"]
    checkpoint.save()
    job = alice.admitted(model=name)
    assert job.checkpoint == checkpoint
    assert not job.received["warnings"]


@pytest.mark.field("openai_images", "model")
@pytest.mark.parametrize(
    "name", ["gpt-image-1", "gpt-image-2.5-flare", "dall-e-2", "dall-e-3", "chatgpt-image-latest"]
)
def test_names_of_the_vendors_models_are_the_default_checkpoint_and_the_answer_says_so(alice, name):
    response = alice.generate(model=name, **{"async": True})
    assert alice.job(response).checkpoint.name == "shapes"
    assert response.json()["warnings"] == [f"{name} is not a model of this server: shapes was used"]


def test_checkpoint_may_have_a_name_of_the_vendor(alice, checkpoint):
    other = ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.SD15,
        name="other",
        path="checkpoints/o.ckpt",
        aliases=["dall-e-3"],
    )
    job = alice.admitted(model="dall-e-3")
    assert (job.checkpoint, job.received["warnings"]) == (other, [])


def test_names_of_the_vendors_models_are_unknown_to_a_strict_source(alice, source):
    source.strict = True
    source.save()
    response = alice.generate(model="dall-e-3")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


@pytest.mark.field("openai_images", "n")
def test_n_is_the_number_of_images(alice):
    request = request_of(alice, n=10)
    assert (request.num_images, request.batch_size) == (10, 10)


@pytest.mark.field("openai_images", "size")
@pytest.mark.parametrize("size", ["640x512", "640X512", "640×512"])
def test_size_is_the_size_of_the_images(alice, size):
    request = request_of(alice, size=size)
    assert (request.width, request.height) == (640, 512)


@pytest.mark.field("openai_images", "size")
@pytest.mark.parametrize("size", ["auto", None])
def test_default_size_is_that_of_the_checkpoint(alice, checkpoint, size):
    checkpoint.metadata = {"modelspec.resolution": "256x320"}
    checkpoint.save()
    request = request_of(alice, size=size)
    assert (request.width, request.height) == (256, 320)


def test_default_size_is_within_the_limits_of_source_and_key(alice, source):
    source.max_width = 300
    source.save()
    request = request_of(alice, size="auto")
    assert (request.width, request.height) == (296, 296)


@pytest.mark.field("openai_images", "quality")
@pytest.mark.parametrize(
    ("quality", "steps", "answered"),
    [
        (None, 20, "medium"),
        ("auto", 20, "medium"),
        ("low", 10, "low"),
        ("medium", 20, "medium"),
        ("standard", 20, "medium"),
        ("high", 30, "high"),
        ("hd", 30, "high"),
        ("xhigh", 40, "xhigh"),
        ("max", 40, "max"),
    ],
)
def test_quality_is_the_number_of_steps(alice, work, quality, steps, answered):
    job = alice.admitted(quality=quality)
    assert job.generation_request.num_inference_steps == steps
    work()
    assert alice.get(f"images/generations/{job.pk}").json()["quality"] == answered


@pytest.mark.field("openai_images", "background")
def test_transparent_background_is_cut_out_of_the_finished_image(alice, work):
    ModelFile.objects.create(kind=Kind.MATTING, name="u2netp", path="matting/u2netp.onnx", sha256="1" * 64)
    job = alice.admitted(background="transparent", output_format="webp")
    assert job.generation_request.cut_out.matting_model == "u2netp"
    work()
    assert alice.get(f"images/generations/{job.pk}").json()["background"] == "transparent"


@pytest.mark.parametrize("background", ["auto", "opaque"])
def test_other_backgrounds_are_opaque(alice, work, background):
    job = alice.admitted(background=background)
    assert job.generation_request.cut_out is None
    work()
    assert alice.get(f"images/generations/{job.pk}").json()["background"] == "opaque"


@pytest.mark.field("openai_images", "output_format", "output_compression")
@pytest.mark.parametrize("name", ["png", "webp", "jpeg"])
def test_output_format_is_the_format_of_the_files(alice, work, name):
    compression = {} if name == "png" else {"output_compression": 40}
    job = alice.admitted(output_format=name, **compression)
    assert job.generation_request.output_quality == compression.get("output_compression", 95)
    work()
    answer = alice.get(f"images/generations/{job.pk}").json()
    assert answer["output_format"] == name
    assert pixels_of(answer["data"][0]["b64_json"]).format == name.upper()


def test_strongest_compression_is_the_lowest_quality(alice):
    assert request_of(alice, output_format="jpeg", output_compression=0).output_quality == 1


@pytest.mark.field("openai_images", "response_format")
@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({}, "b64_json"),
        ({"model": "gpt-image-1"}, "b64_json"),
        ({"model": "shapes"}, "b64_json"),
        ({"model": "dall-e-3"}, "url"),
        ({"model": "dall-e-3", "response_format": "b64_json"}, "b64_json"),
        ({"response_format": "url"}, "url"),
    ],
)
def test_response_format_is_that_of_the_model_unless_it_is_given(alice, work, client, body, member):
    job = alice.admitted(**body)
    work()
    (image,) = alice.get(f"images/generations/{job.pk}").json()["data"]
    assert image.keys() == {member, "revised_prompt"}
    if member == "url":
        response = client.get(image["url"].removeprefix("http://testserver"))
        assert (response.status_code, response["Content-Type"]) == (200, "image/png")
    else:
        assert pixels_of(image[member]).size == (64, 64)


@pytest.mark.field("openai_images", "moderation")
@pytest.mark.parametrize("moderation", ["low", "auto"])
def test_moderation_is_the_policy_of_the_source_which_is_the_least(alice, source, moderation):
    ModelFile.objects.create(kind=Kind.NSFW, name="open_nsfw", path="nsfw/open_nsfw.onnx", sha256="3" * 64)
    source.nsfw_policy = "blur"
    source.save()
    assert request_of(alice, moderation=moderation).nsfw.policy == "blur"


@pytest.mark.field("openai_images", "style")
def test_style_is_the_prompt_style_of_that_name(alice, work):
    PromptStyle.objects.create(name="vivid", prompt="{prompt}, hyper-real", negative_prompt="dull")
    job = alice.admitted(style="vivid")
    request = job.generation_request
    assert (request.prompt, request.negative_prompt) == (f"{PROMPT}, hyper-real", "dull")
    work()
    (image,) = alice.get(f"images/generations/{job.pk}").json()["data"]
    assert image["revised_prompt"] == f"{PROMPT}, hyper-real"


@pytest.mark.field("openai_images", "style")
def test_style_that_the_registry_does_not_have_is_a_warning(alice):
    response = alice.generate(style="natural", **{"async": True})
    assert alice.job(response).generation_request.prompt == PROMPT
    assert response.json()["warnings"] == [
        "style natural has no effect: there is no prompt style of that name"
    ]


@pytest.mark.field("openai_images", "user", "safety_identifier")
@pytest.mark.parametrize(
    ("body", "end_user"),
    [
        ({"user": "7"}, "7"),
        ({"safety_identifier": "8"}, "8"),
        ({"user": "7", "safety_identifier": "8"}, "8"),
        ({"user": "7", "safety_identifier": ""}, "7"),
    ],
)
def test_end_user_is_stored_and_answered(alice, work, body, end_user):
    job = alice.admitted(**body)
    assert job.end_user == end_user
    work()
    assert alice.get(f"images/generations/{job.pk}").json()["safety_identifier"] == end_user


@pytest.mark.field(
    "openai_images",
    "negative_prompt",
    "seed",
    "steps",
    "guidance_scale",
    "sampler",
    "scheduler",
    "loras",
    "clip_skip",
)
def test_fields_of_extra_body_are_those_of_our_own_api(alice):
    ModelFile.objects.create(
        kind=Kind.LORA, family=Family.SD15, name="night", path="loras/night.safetensors", sha256="2" * 64
    )
    request = request_of(
        alice,
        negative_prompt="blue",
        seed=7,
        steps=9,
        quality="low",
        guidance_scale=3.5,
        sampler="DPM++ 2M",
        scheduler="Karras",
        loras=[{"name": "night", "weight": 0.6}],
        clip_skip=2,
    )
    assert (request.negative_prompt, request.seed, request.num_inference_steps) == ("blue", 7, 9)
    assert (request.guidance_scale, request.sampler, request.scheduler) == (3.5, "DPM++ 2M", "Karras")
    assert (request.loras[0].name, request.loras[0].unet, request.clip_skip) == ("night", 0.6, 2)


@pytest.mark.parametrize("seed", [None, -1])
def test_seed_is_random_by_default(alice, seed):
    seeds = {request_of(alice, seed=seed).seed for _ in range(3)}
    assert len(seeds) > 1


# The answer


@pytest.mark.slow
def test_answer_has_images_settings_and_usage(alice, worker):
    response = alice.generate(n=2, prompt="a red circle", negative_prompt="blue", seed=4)
    assert response.status_code == 200, response.content
    answer = response.json()
    assert [pixels_of(image["b64_json"]).size for image in answer["data"]] == [(64, 64)] * 2
    assert (answer["size"], answer["quality"]) == ("64x64", "medium")
    assert abs(answer["created"] - timezone.now().timestamp()) < 60
    assert answer["usage"] == {
        "input_tokens": 4,
        "input_tokens_details": {"text_tokens": 4, "image_tokens": 0},
        "output_tokens": 32,
        "output_tokens_details": {"image_tokens": 32, "text_tokens": 0},
        "total_tokens": 36,
    }
    assert response["X-Request-ID"]
    assert Job.objects.get().lane == Lane.INTERACTIVE


def test_prompt_in_a_language_of_which_the_model_knows_nothing_is_a_warning(alice):
    (warning,) = alice.generate(prompt="红色圆形", **{"async": True}).json()["warnings"]
    assert "Chinese" in warning


# Long jobs


def test_request_that_waited_long_enough_is_answered_with_the_id_of_the_job(alice, work):
    response = alice.generate()
    error = response.json()["error"]
    job = Job.objects.get()
    assert (response.status_code, error["code"], error["job_id"]) == (504, "still_running", str(job.pk))
    assert response["Retry-After"]
    assert response["x-should-retry"] == "false", "a repetition would be another job"
    work()
    assert len(alice.get(f"images/generations/{job.pk}").json()["data"]) == 1


@pytest.mark.django_db(transaction=True)
def test_source_with_its_share_of_waiting_requests_does_not_wait(alice, settings):
    settings.JOB_WAIT_S, settings.WAITING_REQUESTS_PER_SOURCE = 3600, 0
    assert alice.generate().json()["error"]["code"] == "still_running"


@pytest.mark.field("openai_images", "async")
def test_async_is_answered_at_once_and_its_images_are_fetched(alice, work):
    response = alice.generate(**{"async": True})
    job = Job.objects.get()
    assert response.status_code == 202
    assert response.json() == {
        "id": str(job.pk),
        "object": "image.generation.job",
        "status": "queued",
        "created": int(job.created_at.timestamp()),
    }
    assert job.lane == Lane.ASYNC
    pending = alice.get(f"images/generations/{job.pk}")
    assert (pending.status_code, pending.json()) == (202, response.json())
    work()
    done = alice.get(f"images/generations/{job.pk}")
    assert (done.status_code, len(done.json()["data"])) == (200, 1)


def test_failed_job_is_answered_with_its_error(alice, work, fake_runner):
    fake_runner.behavior = behaviors.fails_with_oom
    job = alice.admitted()
    work()
    response = alice.get(f"images/generations/{job.pk}")
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (500, "server_error", "out_of_memory")
    assert error["job_id"] == str(job.pk)
    assert response["x-should-retry"] == "false"


def test_job_of_another_tenant_is_not_found(alice, charlie):
    job = alice.admitted()
    response = charlie.get(f"images/generations/{job.pk}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "job_not_found")


def test_job_of_another_dialect_is_not_found(alice, submission):
    from jobs.admission.admit import admit

    job = admit(submission(key=alice.key))
    assert alice.get(f"images/generations/{job.pk}").status_code == 404


def test_deleted_images_are_an_error(alice, work):
    job = alice.admitted()
    work()
    for output in job.outputs.all():
        output.file.storage.delete(output.file.name)
    assert Job.objects.get().state == State.SUCCEEDED
    response = alice.get(f"images/generations/{job.pk}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "images_deleted")
