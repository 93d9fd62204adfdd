"""Responses to generation requests, synchronous and fetched later."""

import base64

import pytest

from dialects.a1111.schema.fields import IMG2IMG, TXT2IMG
from jobs.execution import lifecycle
from jobs.models import Job

INFO_KEYS = [
    "prompt",
    "all_prompts",
    "negative_prompt",
    "all_negative_prompts",
    "seed",
    "all_seeds",
    "subseed",
    "all_subseeds",
    "subseed_strength",
    "width",
    "height",
    "sampler_name",
    "cfg_scale",
    "steps",
    "batch_size",
    "restore_faces",
    "face_restoration_model",
    "sd_model_name",
    "sd_model_hash",
    "sd_vae_name",
    "sd_vae_hash",
    "seed_resize_from_w",
    "seed_resize_from_h",
    "denoising_strength",
    "extra_generation_params",
    "index_of_first_image",
    "infotexts",
    "styles",
    "job_timestamp",
    "clip_skip",
    "is_using_inpainting_conditioning",
    "version",
]


@pytest.mark.django_db(transaction=True)
def test_synchronous_request_returns_the_images(worker, alice, info, open_image) -> None:
    body = {"prompt": "a red circle", "seed": 7, "batch_size": 2, "width": 64, "height": 64}
    response = alice.post("txt2img", body)
    assert response.status_code == 200
    assert Job.objects.get(pk=response["X-Job-Id"]).state == "succeeded"
    result = response.json()
    assert set(result) == {"images", "parameters", "info"}
    texts = [open_image(image).text["parameters"] for image in result["images"]]
    assert info(result)["infotexts"] == texts
    assert ["Seed: 7" in texts[0], "Seed: 8" in texts[1]] == [True, True]


def test_info_has_every_key_of_the_original(alice, complete, info, checkpoint) -> None:
    job = alice.submit(seed=4294967295, n_iter=2, subseed=5, sampler_name="DPM++ 2M Karras", prompt="p")
    complete(job)
    result = info(alice.result(job))
    assert set(INFO_KEYS) <= set(result)
    assert (result["seed"], result["all_seeds"]) == (4294967295, [4294967295, 4294967296])
    assert (result["subseed"], result["all_subseeds"]) == (5, [5, 6])
    assert (result["sampler_name"], result["all_prompts"]) == ("DPM++ 2M", ["p", "p"])
    assert (result["sd_model_name"], result["sd_model_hash"]) == ("shapes", checkpoint.sha256[:10])
    assert (result["index_of_first_image"], result["denoising_strength"]) == (0, None)
    assert len(result["job_timestamp"]) == 14


def test_parameters_echo_the_parsed_request_with_defaults(alice, complete, red) -> None:
    for name, fields, count, extra in (
        ("txt2img", TXT2IMG, 55, {}),
        ("img2img", IMG2IMG, 57, {"init_images": [red]}),
    ):
        job = alice.submit(name, steps="20", unknown=1, **extra)
        complete(job)
        parameters = alice.result(job)["parameters"]
        assert set(parameters) == set(fields)
        assert len(parameters) == count
        assert (parameters["steps"], parameters["seed"], parameters["sampler_name"]) == (20, -1, None)


def test_send_images_false_returns_no_images(alice, complete, info) -> None:
    job = alice.submit(send_images=False)
    complete(job)
    result = alice.result(job)
    assert result["images"] == []
    assert len(info(result)["infotexts"]) == 1


def test_save_images_returns_a_grid_first(alice, complete, info, open_image) -> None:
    job = alice.submit(batch_size=3, save_images=True)
    complete(job)
    result = alice.result(job)
    assert [open_image(image).size for image in result["images"]] == [
        (128, 128),
        (64, 64),
        (64, 64),
        (64, 64),
    ]
    assert info(result)["index_of_first_image"] == 1
    assert len(info(result)["infotexts"]) == 4


@pytest.mark.parametrize(
    "more", [{"batch_size": 1}, {"batch_size": 2, "override_settings": {"return_grid": False}}]
)
def test_grid_is_omitted_for_one_image_or_by_option(alice, complete, info, more) -> None:
    job = alice.submit(save_images=True, **more)
    complete(job)
    assert len(alice.result(job)["images"]) == more["batch_size"]


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp", "avif"])
def test_option_enable_pnginfo_removes_the_infotext_from_files(
    alice, complete, open_image, file_format
) -> None:
    alice.post("options", {"samples_format": file_format, "enable_pnginfo": False})
    job = alice.submit()
    complete(job)
    image = open_image(alice.result(job)["images"][0])
    assert image.format == {"jpg": "JPEG"}.get(file_format, file_format.upper())
    assert set(getattr(image, "text", {})) <= {"XML:com.adobe.xmp"}, "the label stays"
    assert not image.getexif()


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_grids_and_files_without_infotext_keep_their_labels(alice, complete, file_format, settings) -> None:
    settings.CONTENT_PRODUCER = "the provider"
    alice.post("options", {"samples_format": file_format, "enable_pnginfo": False, "return_grid": True})
    job = alice.submit(batch_size=2, save_images=True)
    complete(job)
    numbers = [f"{job.pk}-grid", f"{job.pk}-0", f"{job.pk}-1"]
    for text, number in zip(alice.result(job)["images"], numbers, strict=True):
        data = base64.b64decode(text)
        assert b"trainedAlgorithmicMedia" in data
        assert f'"ProduceID": "{number}"'.encode() in data


def test_result_of_a_slow_job_can_be_fetched_later(alice, complete) -> None:
    response = alice.post("txt2img", {"width": 64, "height": 64})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    body = response.json()
    assert body["job_id"] == response["X-Job-Id"]
    assert body["job_id"] in body["detail"]
    job = Job.objects.get(pk=body["job_id"])
    assert alice.result(job) == {"id": str(job.pk), "state": "queued", "progress": 0.01}
    complete(job)
    ended = alice.result(job)
    assert (ended["state"], ended["progress"], len(ended["images"])) == ("succeeded", 1.0, 1)


def test_repeated_task_id_returns_the_same_job(alice, complete) -> None:
    job = alice.submit(force_task_id="task-1")
    complete(job)
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response["X-Job-Id"]) == (200, str(job.pk))
    assert Job.objects.count() == 1


def test_task_ids_of_other_tenants_are_independent(alice, charlie) -> None:
    assert alice.submit(force_task_id="task-1").pk != charlie.submit(force_task_id="task-1").pk


@pytest.mark.parametrize("job_id", ["x", "00000000-0000-0000-0000-000000000000", "%00"])
def test_unknown_job_is_404(alice, job_id) -> None:
    response = alice.client.get(f"/sdapi/v1/jobs/{job_id}")
    assert (response.status_code, response.json()["detail"]) == (404, "Job not found")


def test_job_of_another_tenant_is_404(alice, charlie) -> None:
    assert charlie.get(f"jobs/{alice.submit().pk}").json()["detail"] == "Job not found"


@pytest.mark.parametrize(
    ("code", "error"),
    [("out_of_memory", "OutOfMemoryError"), ("bad_request", "ValueError"), ("x", "RuntimeError")],
)
def test_failed_job_is_500_with_its_error(alice, claim, code, error) -> None:
    job = alice.submit(force_task_id="task-1")
    lifecycle.fail(claim(job), code, "It went wrong.")
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response["X-Job-Id"]) == (500, str(job.pk))
    assert (response.json()["error"], response.json()["errors"]) == (error, "It went wrong.")
    assert alice.result(job)["errors"] == "It went wrong."


def test_cancelled_job_is_200_with_its_finished_images(alice) -> None:
    job = alice.submit(force_task_id="task-1")
    lifecycle.cancel(job.pk)
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response.json()["images"]) == (200, [])


def test_extra_generation_params_contain_non_default_settings(alice, complete, info) -> None:
    plain, customized = (
        alice.submit(prompt="a (cat)"),
        alice.submit(prompt="a (cat)", override_settings={"emphasis": "No norm"}),
    )
    for job in (plain, customized):
        complete(job)
    assert info(alice.result(plain))["extra_generation_params"] == {}
    assert info(alice.result(customized))["extra_generation_params"] == {"Emphasis": "No norm"}
    assert info(alice.result(plain))["version"] == "Atelier"
