"""Parts that the original silently ignores cause a warning; for a strict source, an error."""

import pytest

pytestmark = pytest.mark.slow

FALLBACKS = [
    ({"sampler_name": "bogus"}, ["sampler_name"]),
    ({"sampler_index": "k_euler_a"}, ["sampler_index"]),
    ({"scheduler": "bogus"}, ["scheduler"]),
    ({"enable_hr": True, "denoising_strength": 0.5, "hr_sampler_name": "bogus"}, ["hr_sampler_name"]),
    ({"enable_hr": True, "denoising_strength": 0.5, "hr_scheduler": "bogus"}, ["hr_scheduler"]),
    ({"styles": ["unknown"]}, ["styles", 0]),
    ({"prompt": "a <lora:unknown:1>"}, ["prompt"]),
    ({"prompt": "a <hypernet:x:1>"}, ["prompt"]),
    ({"no_such_field": 1}, ["no_such_field"]),
    ({"firstpass_image": "x"}, ["firstpass_image"]),
    ({"infotext": "x\nSteps: 5, Seed: 1, Sampler: Euler, Hypernet: y"}, ["infotext"]),
    ({"override_settings": {"sd_model_checkpoint": "X"}}, ["override_settings", "sd_model_checkpoint"]),
    ({"override_settings": {"sd_vae": "X"}}, ["override_settings", "sd_vae"]),
    ({"override_settings": {"samples_format": "jpg"}}, ["override_settings", "samples_format"]),
    ({"override_settings": {"outdir_samples": "/x"}}, ["override_settings", "outdir_samples"]),
    ({"override_settings": {"api_useragent": "x"}}, ["override_settings", "api_useragent"]),
    (
        {"alwayson_scripts": {"ControlNet": {"args": [{"enabled": False}] * 4}}},
        ["alwayson_scripts", "ControlNet", "args"],
    ),
]


@pytest.mark.parametrize(("body", "place"), FALLBACKS)
def test_fallback_is_a_warning(alice, complete, info, body, place) -> None:
    job = alice.submit(**body)
    complete(job)
    assert len(info(alice.result(job))["warnings"]) == 1


@pytest.mark.parametrize(("body", "place"), FALLBACKS)
def test_fallback_is_rejected_for_a_strict_source(alice, source, body, place) -> None:
    source.strict = True
    source.save()
    response = alice.post("txt2img", {"width": 64, "height": 64, **body})
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["loc"], entry["type"]) == (["body", *place], "value_error.strict")


def test_strict_source_accepts_a_valid_request(alice, source) -> None:
    source.strict = True
    source.save()
    alice.submit(
        sampler_name="DPM++ 2M Karras", scheduler="karras", hr_sampler_name="Use same sampler", seed=1
    )


def test_read_only_option_is_rejected_for_a_strict_source(alice, source) -> None:
    source.strict = True
    source.save()
    response = alice.post("options", {"outdir_samples": "/x", "CLIP_stop_at_last_layers": 2})
    assert response.status_code == 422
    (entry,) = response.json()["detail"]
    assert (entry["loc"], entry["type"]) == (["body", "outdir_samples"], "value_error.strict")
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0


def test_strict_source_can_post_options_back(alice, source) -> None:
    source.strict = True
    source.save()
    got = alice.get("options").json()
    assert alice.post("options", got).status_code == 200
    alice.submit(override_settings=got)


def test_rejected_request_of_a_strict_source_changes_no_option(alice, source) -> None:
    source.strict = True
    source.save()
    overrides = {"CLIP_stop_at_last_layers": 2}
    body = {"bogus": 1, "override_settings": overrides, "override_settings_restore_afterwards": False}
    assert alice.post("txt2img", body).status_code == 422
    assert alice.get("options").json()["CLIP_stop_at_last_layers"] == 1.0
