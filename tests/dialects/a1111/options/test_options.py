import pytest

from access.models import AccessKey
from dialects.a1111.models import KeyOptions
from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def second(db) -> ModelFile:
    fields = {"name": "second", "path": "checkpoints/sub/second.safetensors", "sha256": "ab" * 32}
    return ModelFile.objects.create(kind=Kind.CHECKPOINT, family=Family.SD15, **fields)


def test_the_loaded_model_is_named_by_its_title(alice, checkpoint) -> None:
    values = alice.get("options").json()
    assert values["sd_model_checkpoint"] == checkpoint.title
    assert values["sd_checkpoint_hash"] == checkpoint.sha256


def test_whole_numbers_come_back_as_floats(alice) -> None:
    assert '"CLIP_stop_at_last_layers":1.0' in alice.get("options").content.decode()


def test_no_key_makes_us_look_like_forge(alice) -> None:
    assert "forge_preset" not in alice.get("options").json()


def test_what_was_read_can_be_written_back(alice) -> None:
    before = alice.get("options").json()
    response = alice.post("options", before)
    assert (response.status_code, response.content) == (200, b"null")
    assert alice.get("options").json() == before


def test_a_client_changes_the_model_in_the_whole_object(alice, second) -> None:
    alice.post("options", {**alice.get("options").json(), "sd_model_checkpoint": "second"})
    assert alice.get("options").json()["sd_model_checkpoint"] == second.title
    assert alice.submit().checkpoint == second


def test_options_are_taken_at_the_submission(alice, second) -> None:
    job = alice.submit()
    alice.post("options", {"sd_model_checkpoint": second.title})
    job.refresh_from_db()
    assert job.checkpoint.name == "shapes"


def test_another_keys_options_are_not_touched(alice, source) -> None:
    alice.post("options", {"CLIP_stop_at_last_layers": 2})
    other, _secret = AccessKey.issue(source)
    assert list(KeyOptions.objects.values_list("key", flat=True)) == [alice.key.pk]
    assert not KeyOptions.objects.filter(key=other).exists()
    assert alice.submit().generation_request.clip_skip == 2


def test_an_unknown_model_is_a_runtime_error(alice) -> None:
    response = alice.post("options", {"sd_model_checkpoint": "X"})
    assert response.status_code == 500
    assert response.json() == {
        "error": "RuntimeError",
        "detail": "",
        "body": "",
        "errors": "model 'X' not found",
    }


def test_a_model_for_others_is_unknown(alice, second, other_source) -> None:
    second.allowed_sources.set([other_source])
    assert (
        alice.post("options", {"sd_model_checkpoint": "second"}).json()["errors"]
        == "model 'second' not found"
    )


def test_a_disabled_model_is_unknown(alice, checkpoint, second) -> None:
    second.enabled = False
    second.save()
    told = alice.post("options", {"sd_model_checkpoint": second.name})
    assert (told.status_code, told.json()["errors"]) == (500, f"model {second.name!r} not found")
    job = alice.submit(override_settings={"sd_model_checkpoint": second.name})
    assert job.request["checkpoint"] == checkpoint.name


def test_what_was_read_can_be_written_back_after_its_model_has_gone(alice, second) -> None:
    alice.post("options", {"sd_model_checkpoint": second.name})
    second.enabled = False
    second.save()
    got = alice.get("options").json()
    assert alice.post("options", {**got, "CLIP_stop_at_last_layers": 2}).status_code == 200
    assert alice.get("options").json() == {**got, "CLIP_stop_at_last_layers": 2.0}


def test_an_unknown_key_is_a_key_error_and_nothing_is_written(alice) -> None:
    response = alice.post("options", {"CLIP_stop_at_last_layers": 2, "bogus": 1})
    assert response.status_code == 500
    assert (response.json()["error"], response.json()["errors"]) == ("KeyError", "'bogus'")
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0


def test_an_unknown_key_without_a_value_changes_nothing(alice) -> None:
    assert alice.post("options", {"bogus": None}).status_code == 200


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"CLIP_stop_at_last_layers": "x"}, "type_error.integer"),
        ({"CLIP_stop_at_last_layers": 13}, "value_error.number.not_le"),
        ({"eta_ddim": -1}, "value_error.number.not_ge"),
        ({"enable_pnginfo": 2}, "type_error.bool"),
        ({"randn_source": "TPU"}, "value_error.const"),
        ({"uni_pc_order": 10}, "value_error.number.not_le"),
    ],
)
def test_a_value_that_cannot_be_is_422_with_its_key(alice, values, kind) -> None:
    response = alice.post("options", values)
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", *values], kind)


def test_folders_and_the_apis_own_options_are_read_only(alice) -> None:
    changes = {"outdir_samples": "/etc", "api_enable_requests": False, "api_forbid_local_requests": False}
    assert alice.post("options", changes).status_code == 200
    values = alice.get("options").json()
    assert (values["outdir_samples"], values["api_enable_requests"]) == ("", True)
    assert values["api_forbid_local_requests"] is True


def test_an_unknown_format_is_invalid(alice) -> None:
    response = alice.post("options", {"samples_format": "bmp"})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid image format")


def test_overrides_are_for_one_request(alice, second) -> None:
    overrides = {"sd_model_checkpoint": "second", "CLIP_stop_at_last_layers": 2, "eta_ddim": 0.5}
    job = alice.submit(override_settings=overrides, sampler_name="DDIM")
    request = job.generation_request
    assert (request.checkpoint, request.clip_skip, request.eta) == ("second", 2, 0.5)
    assert alice.submit().generation_request.checkpoint == "shapes"


def test_overrides_stay_when_they_are_not_to_be_restored(alice) -> None:
    alice.submit(override_settings={"samples_format": "webp"}, override_settings_restore_afterwards=False)
    assert alice.submit().generation_request.output_format == "webp"


@pytest.mark.parametrize(
    ("field", "limit", "status"),
    [("max_queued_jobs", 0, 429), ("max_width", 32, 422), ("total_budget", 0, 402)],
)
def test_refused_request_changes_no_option(alice, source, second, field, limit, status) -> None:
    setattr(source, field, limit)
    source.save()
    before = alice.get("options").json()
    overrides = {"sd_model_checkpoint": second.name, "CLIP_stop_at_last_layers": 2}
    body = {"override_settings": overrides, "override_settings_restore_afterwards": False}
    assert alice.post("txt2img", body).status_code == status
    assert alice.get("options").json() == before


def test_admitted_request_changes_the_options_that_are_not_restored(alice, second) -> None:
    overrides = {"sd_model_checkpoint": second.name, "CLIP_stop_at_last_layers": 2}
    alice.submit(override_settings=overrides, override_settings_restore_afterwards=False)
    options = alice.get("options").json()
    assert (options["sd_model_checkpoint"], options["CLIP_stop_at_last_layers"]) == (second.title, 2.0)


def test_repeated_request_does_not_change_the_options_again(alice) -> None:
    body = {
        "force_task_id": "one",
        "override_settings": {"CLIP_stop_at_last_layers": 2},
        "override_settings_restore_afterwards": False,
    }
    alice.submit(**body)
    alice.post("options", {"CLIP_stop_at_last_layers": 1})
    alice.submit(**body)
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0


def test_pictures_with_loss_have_the_quality_of_the_options(alice, draw, opened) -> None:
    sizes = []
    for quality in (80, 20):
        alice.post("options", {"samples_format": "jpg", "jpeg_quality": quality})
        job = alice.submit()
        assert job.generation_request.output_quality == quality
        draw(job)
        sizes.append(opened(alice.result(job)["images"][0]).quantization[0][0])
    assert sizes[0] < sizes[1]


def test_a_png_has_no_quality(alice) -> None:
    alice.post("options", {"jpeg_quality": 20})
    assert alice.submit().generation_request.output_quality == 95


def test_the_format_of_one_request_acts_as_little_as_in_the_original_and_says_so(alice, draw, info) -> None:
    job = alice.submit(override_settings={"samples_format": "jpg"})
    assert job.generation_request.output_format == "png"
    draw(job)
    assert "samples_format" in info(alice.result(job))["warnings"][0]


def test_an_unknown_model_in_the_overrides_is_dropped_and_says_so(alice, draw, info) -> None:
    job = alice.submit(override_settings={"sd_model_checkpoint": "X", "CLIP_stop_at_last_layers": 2})
    draw(job)
    answer = alice.result(job)
    assert (job.checkpoint.name, job.generation_request.clip_skip) == ("shapes", 2)
    assert answer["parameters"]["override_settings"] == {"CLIP_stop_at_last_layers": 2}
    assert "X" in info(answer)["warnings"][0]


def test_an_override_that_we_do_not_know_is_a_key_error(alice) -> None:
    response = alice.post("txt2img", {"override_settings": {"bogus": 1}})
    assert (response.status_code, response.json()["errors"]) == (500, "'bogus'")


def test_an_override_that_we_do_not_honour_is_422(alice) -> None:
    response = alice.post("txt2img", {"override_settings": {"token_merging_ratio": 0.5}})
    assert response.json()["detail"][0]["loc"] == ["body", "override_settings", "token_merging_ratio"]


@pytest.mark.parametrize(
    ("values", "every"),
    [({}, 10), ({"show_progress_every_n_steps": -1}, 0), ({"live_previews_enable": False}, 0)],
)
def test_previews_come_as_often_as_the_options_say(alice, values, every) -> None:
    alice.post("options", values)
    assert alice.submit().generation_request.preview_every == every
