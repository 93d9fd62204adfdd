"""What comes back, at once or later."""

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
def test_a_client_waits_and_gets_its_pictures(worker, alice, info, opened) -> None:
    body = {"prompt": "a red circle", "seed": 7, "batch_size": 2, "width": 64, "height": 64}
    response = alice.post("txt2img", body)
    assert response.status_code == 200
    assert Job.objects.get(pk=response["X-Job-Id"]).state == "succeeded"
    answer = response.json()
    assert set(answer) == {"images", "parameters", "info"}
    texts = [opened(image).text["parameters"] for image in answer["images"]]
    assert info(answer)["infotexts"] == texts
    assert ["Seed: 7" in texts[0], "Seed: 8" in texts[1]] == [True, True]


def test_the_info_has_every_key_of_the_original(alice, draw, info, checkpoint) -> None:
    job = alice.submit(seed=4294967295, n_iter=2, subseed=5, sampler_name="DPM++ 2M Karras", prompt="p")
    draw(job)
    told = info(alice.result(job))
    assert set(INFO_KEYS) <= set(told)
    assert (told["seed"], told["all_seeds"]) == (4294967295, [4294967295, 0])
    assert (told["subseed"], told["all_subseeds"]) == (5, [5, 6])
    assert (told["sampler_name"], told["all_prompts"]) == ("DPM++ 2M", ["p", "p"])
    assert (told["sd_model_name"], told["sd_model_hash"]) == ("shapes", checkpoint.sha256[:10])
    assert (told["index_of_first_image"], told["denoising_strength"]) == (0, None)
    assert len(told["job_timestamp"]) == 14


def test_the_parameters_are_the_request_as_read_with_every_default(alice, draw, red) -> None:
    for name, fields, count, extra in (
        ("txt2img", TXT2IMG, 55, {}),
        ("img2img", IMG2IMG, 57, {"init_images": [red]}),
    ):
        job = alice.submit(name, steps="20", unknown=1, **extra)
        draw(job)
        parameters = alice.result(job)["parameters"]
        assert set(parameters) == set(fields)
        assert len(parameters) == count
        assert (parameters["steps"], parameters["seed"], parameters["sampler_name"]) == (20, -1, None)


def test_no_images_are_sent_when_none_are_wanted(alice, draw, info) -> None:
    job = alice.submit(send_images=False)
    draw(job)
    answer = alice.result(job)
    assert answer["images"] == []
    assert len(info(answer)["infotexts"]) == 1


def test_a_grid_comes_first_when_pictures_are_saved(alice, draw, info, opened) -> None:
    job = alice.submit(batch_size=3, save_images=True)
    draw(job)
    answer = alice.result(job)
    assert [opened(image).size for image in answer["images"]] == [(128, 128), (64, 64), (64, 64), (64, 64)]
    assert info(answer)["index_of_first_image"] == 1
    assert len(info(answer)["infotexts"]) == 4


@pytest.mark.parametrize(
    "more", [{"batch_size": 1}, {"batch_size": 2, "override_settings": {"return_grid": False}}]
)
def test_there_is_no_grid_otherwise(alice, draw, info, more) -> None:
    job = alice.submit(save_images=True, **more)
    draw(job)
    assert len(alice.result(job)["images"]) == more["batch_size"]


@pytest.mark.parametrize("file_format", ["png", "jpg", "webp"])
def test_the_infotext_stays_out_of_the_file_when_asked(alice, draw, opened, file_format) -> None:
    alice.post("options", {"samples_format": file_format, "enable_pnginfo": False})
    job = alice.submit()
    draw(job)
    picture = opened(alice.result(job)["images"][0])
    assert picture.format == {"jpg": "JPEG"}.get(file_format, file_format.upper())
    assert not getattr(picture, "text", None)
    assert not picture.getexif()


def test_a_job_that_takes_too_long_can_be_found_later(alice, draw) -> None:
    response = alice.post("txt2img", {"width": 64, "height": 64})
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    body = response.json()
    assert body["job_id"] == response["X-Job-Id"]
    assert body["job_id"] in body["detail"]
    job = Job.objects.get(pk=body["job_id"])
    assert alice.result(job) == {"id": str(job.pk), "state": "queued", "progress": 0.01}
    draw(job)
    later = alice.result(job)
    assert (later["state"], later["progress"], len(later["images"])) == ("succeeded", 1.0, 1)


def test_the_same_task_id_is_the_same_job(alice, draw) -> None:
    job = alice.submit(force_task_id="task-1")
    draw(job)
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response["X-Job-Id"]) == (200, str(job.pk))
    assert Job.objects.count() == 1


def test_another_tenants_task_id_is_not_mine(alice, charlie) -> None:
    assert alice.submit(force_task_id="task-1").pk != charlie.submit(force_task_id="task-1").pk


@pytest.mark.parametrize("job_id", ["x", "00000000-0000-0000-0000-000000000000", "%00"])
def test_a_job_that_never_was_is_404(alice, job_id) -> None:
    response = alice.client.get(f"/sdapi/v1/jobs/{job_id}")
    assert (response.status_code, response.json()["detail"]) == (404, "Job not found")


def test_charlie_cannot_tell_alices_job_from_none(alice, charlie) -> None:
    assert charlie.get(f"jobs/{alice.submit().pk}").json()["detail"] == "Job not found"


@pytest.mark.parametrize(
    ("code", "error"),
    [("out_of_memory", "OutOfMemoryError"), ("bad_request", "ValueError"), ("x", "RuntimeError")],
)
def test_a_failed_job_is_500_with_its_reason(alice, claim, code, error) -> None:
    job = alice.submit(force_task_id="task-1")
    lifecycle.fail(claim(job), code, "It went wrong.")
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response["X-Job-Id"]) == (500, str(job.pk))
    assert (response.json()["error"], response.json()["errors"]) == (error, "It went wrong.")
    assert alice.result(job)["errors"] == "It went wrong."


def test_a_cancelled_job_is_200_with_what_there_is(alice) -> None:
    job = alice.submit(force_task_id="task-1")
    lifecycle.cancel(job.pk)
    response = alice.post("txt2img", {"width": 64, "height": 64, "force_task_id": "task-1"})
    assert (response.status_code, response.json()["images"]) == (200, [])


def test_the_extra_parameters_are_those_that_are_in_use(alice, draw, info) -> None:
    plain, unusual = (
        alice.submit(prompt="a (cat)"),
        alice.submit(prompt="a (cat)", override_settings={"emphasis": "No norm"}),
    )
    for job in (plain, unusual):
        draw(job)
    assert info(alice.result(plain))["extra_generation_params"] == {}
    assert info(alice.result(unusual))["extra_generation_params"] == {"Emphasis": "No norm"}
    assert info(alice.result(plain))["version"] == "Atelier"
