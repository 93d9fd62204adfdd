import pytest

from access.models import AccessKey
from dialects.a1111.models import KeyOptions
from models_registry.models import Family, Kind, ModelFile


@pytest.fixture
def second(db) -> ModelFile:
    fields = {"name": "second", "path": "checkpoints/sub/second.safetensors", "sha256": "ab" * 32}
    return ModelFile.objects.create(kind=Kind.CHECKPOINT, family=Family.SD15, **fields)


def test_checkpoint_option_is_the_title_of_the_checkpoint(alice, checkpoint) -> None:
    values = alice.get("options").json()
    assert values["sd_model_checkpoint"] == checkpoint.title
    assert values["sd_checkpoint_hash"] == checkpoint.sha256


def test_integer_options_are_returned_as_floats(alice) -> None:
    assert '"CLIP_stop_at_last_layers":1.0' in alice.get("options").content.decode()


def test_options_do_not_contain_forge_preset(alice) -> None:
    assert "forge_preset" not in alice.get("options").json()


def test_options_can_be_posted_back_unchanged(alice) -> None:
    before = alice.get("options").json()
    response = alice.post("options", before)
    assert (response.status_code, response.content) == (200, b"null")
    assert alice.get("options").json() == before


def test_checkpoint_can_be_changed_in_the_whole_options_object(alice, second) -> None:
    alice.post("options", {**alice.get("options").json(), "sd_model_checkpoint": "second"})
    assert alice.get("options").json()["sd_model_checkpoint"] == second.title
    assert alice.submit().checkpoint == second


def test_later_option_changes_do_not_affect_a_submitted_job(alice, second) -> None:
    job = alice.submit()
    alice.post("options", {"sd_model_checkpoint": second.title})
    job.refresh_from_db()
    assert job.checkpoint.name == "shapes"


def test_options_are_stored_per_key(alice, source) -> None:
    alice.post("options", {"CLIP_stop_at_last_layers": 2})
    other, _secret = AccessKey.issue(source)
    assert list(KeyOptions.objects.values_list("key", flat=True)) == [alice.key.pk]
    assert not KeyOptions.objects.filter(key=other).exists()
    assert alice.submit().generation_request.clip_skip == 2


def test_unknown_checkpoint_is_a_runtime_error(alice) -> None:
    response = alice.post("options", {"sd_model_checkpoint": "X"})
    assert response.status_code == 500
    assert response.json() == {
        "error": "RuntimeError",
        "detail": "",
        "body": "",
        "errors": "model 'X' not found",
    }


def test_checkpoint_of_another_source_is_unknown(alice, second, other_source) -> None:
    second.allowed_sources.set([other_source])
    assert (
        alice.post("options", {"sd_model_checkpoint": "second"}).json()["errors"]
        == "model 'second' not found"
    )


def test_disabled_checkpoint_is_unknown(alice, checkpoint, second) -> None:
    second.enabled = False
    second.save()
    response = alice.post("options", {"sd_model_checkpoint": second.name})
    assert (response.status_code, response.json()["errors"]) == (500, f"model {second.name!r} not found")
    job = alice.submit(override_settings={"sd_model_checkpoint": second.name})
    assert job.request["checkpoint"] == checkpoint.name


def test_options_can_be_posted_back_after_their_checkpoint_was_disabled(alice, second) -> None:
    alice.post("options", {"sd_model_checkpoint": second.name})
    second.enabled = False
    second.save()
    got = alice.get("options").json()
    assert alice.post("options", {**got, "CLIP_stop_at_last_layers": 2}).status_code == 200
    assert alice.get("options").json() == {**got, "CLIP_stop_at_last_layers": 2.0}


def test_unknown_option_is_a_key_error_and_nothing_is_stored(alice) -> None:
    response = alice.post("options", {"CLIP_stop_at_last_layers": 2, "bogus": 1})
    assert response.status_code == 500
    assert (response.json()["error"], response.json()["errors"]) == ("KeyError", "'bogus'")
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0


def test_unknown_option_with_null_is_ignored(alice) -> None:
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
def test_invalid_option_value_is_rejected_at_its_key(alice, values, kind) -> None:
    response = alice.post("options", values)
    assert response.status_code == 422
    entry = response.json()["detail"][0]
    assert (entry["loc"], entry["type"]) == (["body", *values], kind)


def test_folder_and_api_options_are_read_only(alice) -> None:
    changes = {"outdir_samples": "/etc", "api_enable_requests": False, "api_forbid_local_requests": False}
    assert alice.post("options", changes).status_code == 200
    values = alice.get("options").json()
    assert (values["outdir_samples"], values["api_enable_requests"]) == ("", True)
    assert values["api_forbid_local_requests"] is True


def test_unknown_image_format_is_rejected(alice) -> None:
    response = alice.post("options", {"samples_format": "bmp"})
    assert (response.status_code, response.json()["detail"]) == (500, "Invalid image format")


def test_overrides_apply_to_one_request(alice, second) -> None:
    overrides = {"sd_model_checkpoint": "second", "CLIP_stop_at_last_layers": 2, "eta_ddim": 0.5}
    job = alice.submit(override_settings=overrides, sampler_name="DDIM")
    request = job.generation_request
    assert (request.checkpoint, request.clip_skip, request.eta) == ("second", 2, 0.5)
    assert alice.submit().generation_request.checkpoint == "shapes"


def test_overrides_are_stored_without_restore_afterwards(alice) -> None:
    alice.submit(override_settings={"samples_format": "webp"}, override_settings_restore_afterwards=False)
    assert alice.submit().generation_request.output_format == "webp"


@pytest.mark.parametrize(
    ("field", "limit", "status"),
    [("max_queued_jobs", 0, 429), ("max_width", 32, 422), ("total_budget", 0, 402)],
)
def test_rejected_request_changes_no_option(alice, source, second, field, limit, status) -> None:
    setattr(source, field, limit)
    source.save()
    before = alice.get("options").json()
    overrides = {"sd_model_checkpoint": second.name, "CLIP_stop_at_last_layers": 2}
    body = {"override_settings": overrides, "override_settings_restore_afterwards": False}
    assert alice.post("txt2img", body).status_code == status
    assert alice.get("options").json() == before


def test_admitted_request_stores_overrides_that_are_not_restored(alice, second) -> None:
    overrides = {"sd_model_checkpoint": second.name, "CLIP_stop_at_last_layers": 2}
    alice.submit(override_settings=overrides, override_settings_restore_afterwards=False)
    options = alice.get("options").json()
    assert (options["sd_model_checkpoint"], options["CLIP_stop_at_last_layers"]) == (second.title, 2.0)


def test_repeated_request_does_not_store_its_overrides_again(alice) -> None:
    body = {
        "force_task_id": "one",
        "override_settings": {"CLIP_stop_at_last_layers": 2},
        "override_settings_restore_afterwards": False,
    }
    alice.submit(**body)
    alice.post("options", {"CLIP_stop_at_last_layers": 1})
    alice.submit(**body)
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0


def test_lossy_images_have_the_quality_of_the_option(alice, complete, open_image) -> None:
    sizes = []
    for quality in (80, 20):
        alice.post("options", {"samples_format": "jpg", "jpeg_quality": quality})
        job = alice.submit()
        assert job.generation_request.output_quality == quality
        complete(job)
        sizes.append(open_image(alice.result(job)["images"][0]).quantization[0][0])
    assert sizes[0] < sizes[1]


def test_jpeg_quality_does_not_apply_to_png(alice) -> None:
    alice.post("options", {"jpeg_quality": 20})
    assert alice.submit().generation_request.output_quality == 95


def test_restored_samples_format_override_has_no_effect_and_warns(alice, complete, info) -> None:
    job = alice.submit(override_settings={"samples_format": "jpg"})
    assert job.generation_request.output_format == "png"
    complete(job)
    assert "samples_format" in info(alice.result(job))["warnings"][0]


def test_unknown_checkpoint_override_is_dropped_with_a_warning(alice, complete, info) -> None:
    job = alice.submit(override_settings={"sd_model_checkpoint": "X", "CLIP_stop_at_last_layers": 2})
    complete(job)
    result = alice.result(job)
    assert (job.checkpoint.name, job.generation_request.clip_skip) == ("shapes", 2)
    assert result["parameters"]["override_settings"] == {"CLIP_stop_at_last_layers": 2}
    assert "X" in info(result)["warnings"][0]


def test_unknown_override_is_a_key_error(alice) -> None:
    response = alice.post("txt2img", {"override_settings": {"bogus": 1}})
    assert (response.status_code, response.json()["errors"]) == (500, "'bogus'")


def test_unsupported_override_is_rejected(alice) -> None:
    response = alice.post("txt2img", {"override_settings": {"token_merging_ratio": 0.5}})
    assert response.json()["detail"][0]["loc"] == ["body", "override_settings", "token_merging_ratio"]


@pytest.mark.parametrize(
    ("values", "every"),
    [({}, 10), ({"show_progress_every_n_steps": -1}, 0), ({"live_previews_enable": False}, 0)],
)
def test_preview_interval_follows_the_options(alice, values, every) -> None:
    alice.post("options", values)
    assert alice.submit().generation_request.preview_every == every
