"""``alwayson_scripts.ADetailer``: units of the extension become detail passes, or are refused by name."""

import pytest

from models_registry.models import Family, Kind, ModelFile, PromptStyle

pytestmark = pytest.mark.slow

FACES = "face_yolov8n.pt"


def script(*arguments):
    return {"alwayson_scripts": {"ADetailer": {"args": list(arguments)}}}


def unit(**fields):
    return {"ad_model": FACES} | fields


def entry(response):
    assert response.status_code == 422, response.content
    return response.json()["detail"][0]


@pytest.fixture
def passes(alice, face_models):
    """Detail passes of a txt2img with these units."""

    def passes(*units, switches=(True, False), **body):
        job = alice.submit(**{"prompt": "a cat", "seed": 1} | body, **script(*switches, *units))
        return job.generation_request.detail_passes

    return passes


@pytest.fixture
def files(db):
    named = {
        Kind.CHECKPOINT: "other",
        Kind.VAE: "soft",
        Kind.LORA: "night",
        Kind.CONTROLNET: "control_v11p_sd15_canny",
        Kind.DETECTOR: "hand_yolov8n",
    }
    return {
        kind: ModelFile.objects.create(
            kind=kind, name=name, path=f"{kind}/{name}.onnx", sha256="7" * 64, family=Family.SD15
        )
        for kind, name in named.items()
    }


def test_a_unit_has_the_defaults_of_the_extension(passes):
    [part] = passes(unit())
    assert (part.detector_kind, part.detector, part.shape, part.label) == (
        "face_detector",
        "yunet",
        "box",
        FACES,
    )
    assert (part.confidence, part.strength, part.dilation, part.mask_blur) == (0.3, 0.4, 4, 4)
    assert (part.only_masked, part.padding, part.merge, part.regions) == (True, 32, "none", ())
    assert (part.width, part.num_inference_steps, part.sampler, part.checkpoint, part.vae) == (
        None,
        0,
        "",
        "",
        None,
    )


@pytest.mark.parametrize(
    "arguments",
    [[unit()], [True, unit()], [True, False, unit()], [True, False, {"ad_model": "None"}, unit(), {}]],
)
def test_the_switches_before_the_units_are_optional(alice, face_models, arguments):
    request = alice.submit(**script(*arguments)).generation_request
    assert (len(request.detail_passes), request.details_only) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        [False],
        [False, False, unit(ad_confidence="nonsense")],
        [True, False, unit(ad_tab_enable=False)],
        [True, False, unit(ad_tap_enable=False)],
        [True, False, {"ad_model": "None", "ad_prompt": "x"}, {}],
    ],
)
def test_what_is_switched_off_is_accepted_and_has_no_effect(alice, arguments):
    job = alice.submit(**script(*arguments))
    assert (job.generation_request.detail_passes, job.received["warnings"]) == ((), [])


def test_units_are_applied_one_after_another(passes):
    parts = passes(
        unit(ad_prompt="one"), unit(ad_prompt="two"), {"ad_model": "None"}, unit(ad_prompt="three")
    )
    assert [part.regions[0].prompt for part in parts] == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("face_yolov8n.pt", "box"),
        ("face_yolov8s.pt", "box"),
        ("face_yolov9c.pt", "box"),
        ("face_yolov8n_v2.pt", "box"),
        ("mediapipe_face_full", "box"),
        ("mediapipe_face_short", "box"),
        ("mediapipe_face_mesh", "ellipse"),
        ("mediapipe_face_mesh_eyes_only", "eyes"),
    ],
)
def test_face_models_of_the_extension_are_the_face_detector(passes, name, shape):
    [part] = passes(unit(ad_model=name))
    assert (part.detector, part.shape, part.label) == ("yunet", shape, name)


def test_object_detectors_of_the_registry_are_found_by_their_names(passes, files):
    for name in ("hand_yolov8n.pt", "hand_yolov8n", "hand_yolov8n.onnx"):
        [part] = passes(unit(ad_model=name, ad_model_classes="hand, foot"))
        assert (part.detector_kind, part.detector) == ("detector", "hand_yolov8n")
        assert part.classes == ("hand", "foot")


def test_a_face_model_of_the_registry_replaces_the_face_detector(passes, files):
    ModelFile.objects.create(kind=Kind.DETECTOR, name="face_yolov8n", path="detectors/face_yolov8n.onnx")
    [part] = passes(unit())
    assert (part.detector_kind, part.detector) == ("detector", "face_yolov8n")


def test_unknown_detectors_are_refused_by_name(alice, face_models, files, other_source):
    files[Kind.DETECTOR].allowed_sources.set([other_source])
    for name in ("person_yolov8n-seg.pt", "mediapipe_hands", "hand_yolov8n.pt"):
        error = entry(alice.post("txt2img", script(True, False, unit(ad_model=name))))
        assert error["loc"] == ["body", "alwayson_scripts", "ADetailer", "args", 2, "ad_model"]
        assert f"unknown detector {name}" in error["msg"]


def test_an_unusable_detector_is_refused_with_its_problem(alice, face_models, files):
    ModelFile.objects.filter(kind=Kind.DETECTOR).update(problem="Not usable: broken")
    error = entry(alice.post("txt2img", script(unit(ad_model="hand_yolov8n.pt"))))
    assert "broken" in error["msg"]


def test_without_a_face_detector_its_file_is_named(alice):
    error = entry(alice.post("txt2img", script(unit())))
    assert error["loc"][-2:] == [0, "ad_model"]
    assert "yunet_n_640_640.onnx" in error["msg"]


def test_classes_for_a_face_detector_are_a_warning(alice, face_models):
    job = alice.submit(**script(unit(ad_model_classes="dog")))
    assert job.received["warnings"] == ["ad_model_classes has no effect on a face detector"]


CHANGES = {
    "ad_confidence": (0.7, "confidence", 0.7),
    "ad_mask_min_ratio": (0.1, "min_share", 0.1),
    "ad_mask_max_ratio": (0.9, "max_share", 0.9),
    "ad_dilate_erode": (-8, "dilation", -8),
    "ad_x_offset": (5, "offset_x", 5),
    "ad_y_offset": (-6, "offset_y", -6),
    "ad_mask_merge_invert": ("Merge and Invert", "merge", "invert"),
    "ad_mask_blur": (9, "mask_blur", 9.0),
    "ad_denoising_strength": (0.5, "strength", 0.5),
    "ad_inpaint_only_masked": (False, "only_masked", False),
    "ad_inpaint_full_res": (False, "only_masked", False),
    "ad_inpaint_only_masked_padding": (64, "padding", 64),
    "ad_inpaint_full_res_padding": (64, "padding", 64),
    "ad_mask_k": (2, "max_regions", 2),
    "ad_mask_k_largest": (2.0, "order", "area"),
    "ad_restore_face": (True, "face_restoration", "GFPGANv1.4"),
}


@pytest.mark.parametrize("field", CHANGES)
def test_every_field_changes_the_detail_pass(passes, field):
    value, name, expected = CHANGES[field]
    found = getattr(passes(unit(**{field: value}))[0], name)
    assert getattr(found, "model", found) == expected


SWITCHED = {
    "ad_use_steps": ({"ad_steps": 12}, {"num_inference_steps": 12}),
    "ad_use_cfg_scale": ({"ad_cfg_scale": 3}, {"guidance_scale": 3.0}),
    "ad_use_inpaint_width_height": ({"ad_inpaint_width": 700, "ad_inpaint_height": 768}, {"width": 696, "height": 768}),
    "ad_use_checkpoint": ({"ad_checkpoint": "other"}, {"checkpoint": "other"}),
    "ad_use_vae": ({"ad_vae": "soft"}, {"vae": "soft"}),
    "ad_use_sampler": ({"ad_sampler": "DPM++ 2M Karras"}, {"sampler": "DPM++ 2M", "scheduler": "Automatic"}),
    "ad_use_noise_multiplier": ({"ad_noise_multiplier": 0.8}, {"noise_multiplier": 0.8}),
    "ad_use_clip_skip": ({"ad_clip_skip": 2}, {"clip_skip": 2}),
}  # fmt: skip


@pytest.mark.parametrize("switch", SWITCHED)
def test_separate_settings_apply_where_their_switch_is_on(passes, files, switch):
    values, expected = SWITCHED[switch]
    [on] = passes(unit(**values, **{switch: True}))
    [off] = passes(unit(**values))
    assert {name: getattr(on, name) for name in expected} == expected
    assert all(getattr(off, name) != value for name, value in expected.items())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"ad_sampler": "Use same sampler"}, ("", "")),
        ({"ad_sampler": "Use same sampler", "ad_scheduler": "Karras"}, ("", "Karras")),
        ({"ad_sampler": "Heun"}, ("Heun", "")),
        ({"ad_sampler": "Heun", "ad_scheduler": "Exponential"}, ("Heun", "Exponential")),
        ({"ad_sampler": "Heun Karras"}, ("Heun", "Karras")),
    ],
)
def test_sampler_and_scheduler_may_be_those_of_the_request(passes, fields, expected):
    [part] = passes(unit(ad_use_sampler=True, **fields))
    assert (part.sampler, part.scheduler) == expected


def test_eta_is_that_of_the_options(passes):
    """As in the extension, whose inpainting does not take over the request's eta. webuiapi always sends 1."""
    assert passes(unit(), sampler_name="DDIM", eta=1.0)[0].eta == 0.0
    assert passes(unit(ad_use_sampler=True, ad_sampler="Euler a"), eta=0.3)[0].eta == 1.0


def test_same_checkpoint_and_vae_are_those_of_the_request(passes, files):
    same = {"ad_checkpoint": "Use same checkpoint", "ad_vae": "Use same VAE"}
    for fields in (
        same,
        {"ad_checkpoint": "None", "ad_vae": "None"},
        {"ad_checkpoint": None, "ad_vae": None},
    ):
        [part] = passes(unit(ad_use_checkpoint=True, ad_use_vae=True, **fields))
        assert (part.checkpoint, part.vae) == ("", None)
    assert passes(unit(ad_use_vae=True, ad_vae="Automatic"))[0].vae == ""


def prompts_of(part):
    return [(region.skip, region.prompt, region.negative_prompt) for region in part.regions]


def test_prompts_of_regions_are_separated_by_sep(passes):
    [part] = passes(
        unit(
            ad_prompt="one [SEP] [SKIP][SEP][SEP] a [PROMPT]", ad_negative_prompt="bad [SEP] worse, [PROMPT]"
        ),
        prompt="a cat",
        negative_prompt="dogs",
    )
    assert prompts_of(part) == [
        (False, "one", "bad"),
        (True, "", ""),
        (False, "", "worse, dogs"),
        (False, "a a cat", "worse, dogs"),
    ]


def test_styles_apply_to_prompts_of_regions_once(passes, source):
    PromptStyle.objects.create(name="oil", prompt="{prompt}, oil", negative_prompt="photo")
    [part] = passes(unit(ad_prompt="face of [PROMPT]"), prompt="a cat", styles=["oil"])
    assert part.regions[0].prompt == "face of a cat, oil"


def test_loras_of_a_prompt_act_in_its_region_only(passes, files):
    [part] = passes(unit(ad_prompt="a <lora:night:0.5>[SEP]b[SEP]"))
    assert [region.loras and [lora.name for lora in region.loras] for region in part.regions] == [
        ["night"],
        (),
        None,
    ]


def test_an_unknown_lora_of_a_region_is_a_warning(alice, face_models):
    job = alice.submit(**script(unit(ad_prompt="a <lora:bogus:1>")))
    assert "<lora:bogus> in the prompt was ignored" in job.received["warnings"][0]


def test_a_controlnet_unit_takes_the_region_as_its_image(passes, files):
    fields = {
        "ad_controlnet_model": "control_v11p_sd15_canny [77777777]",
        "ad_controlnet_module": "canny",
        "ad_controlnet_weight": 0.6,
        "ad_controlnet_guidance_start": 0.1,
        "ad_controlnet_guidance_end": 0.9,
    }
    [part] = passes(unit(**fields))
    [control] = part.controls
    assert (control.model, control.module, control.image) == ("control_v11p_sd15_canny", "canny", None)
    assert (control.weight, control.guidance_start, control.guidance_end) == (0.6, 0.1, 0.9)
    assert (control.pixel_perfect, control.return_map) == (True, False)


def test_the_module_follows_from_the_name_of_the_model(passes, files):
    ModelFile.objects.filter(kind=Kind.CONTROLNET).update(name="control_v11f1e_sd15_tile")
    [part] = passes(unit(ad_controlnet_model="control_v11f1e_sd15_tile"))
    assert part.controls[0].module == "tile_resample"


def test_passthrough_uses_the_units_of_the_request(alice, face_models, red):
    scripts = script(unit(ad_controlnet_model="Passthrough"))["alwayson_scripts"]
    control = {"image": red, "module": "reference_only"}
    job = alice.submit(alwayson_scripts=scripts | {"ControlNet": {"args": [control]}})
    [part] = job.generation_request.detail_passes
    assert [control.module for control in part.controls] == ["reference_only"]


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"ad_confidence": 2}, "ad_confidence", "less than or equal to 1"),
        ({"ad_confidence": "high"}, "ad_confidence", "valid number"),
        ({"ad_denoising_strength": -1}, "ad_denoising_strength", "greater than or equal to 0"),
        ({"ad_mask_k": -1}, "ad_mask_k", "greater than or equal to 0"),
        ({"ad_mask_merge_invert": "Both"}, "ad_mask_merge_invert", "'Merge and Invert'"),
        ({"ad_mask_filter_method": "Luck"}, "ad_mask_filter_method", "'Area' or 'Confidence'"),
        ({"ad_steps": 0}, "ad_steps", "greater than or equal to 1"),
        ({"ad_noise_multiplier": 3}, "ad_noise_multiplier", "less than or equal to 1.5"),
        ({"ad_clip_skip": 13}, "ad_clip_skip", "less than or equal to 12"),
        ({"ad_bogus": 1}, "ad_bogus", "not permitted"),
        ({"ad_prompt": {"a": 1}}, "ad_prompt", "valid string"),
        ({"ad_prompt": "[SEP]" * 64}, "ad_prompt", "at most 64 prompts"),
        ({"ad_use_sampler": True, "ad_sampler": "Bogus"}, "ad_sampler", "unknown sampler Bogus"),
        ({"ad_use_sampler": True, "ad_scheduler": "Bogus"}, "ad_scheduler", "unknown scheduler Bogus"),
        ({"ad_use_checkpoint": True, "ad_checkpoint": "bogus"}, "ad_checkpoint", "bogus"),
        ({"ad_use_vae": True, "ad_vae": "bogus"}, "ad_vae", "bogus"),
        ({"ad_controlnet_model": "bogus"}, "ad_controlnet_model", "ControlNet model not found: bogus"),
    ],
)
def test_invalid_values_are_refused_at_their_field(alice, face_models, fields, field, message):
    error = entry(alice.post("txt2img", script(True, False, unit(**fields))))
    assert error["loc"] == ["body", "alwayson_scripts", "ADetailer", "args", 2, field]
    assert message in error["msg"]


def test_invalid_control_units_are_refused_at_their_field(alice, face_models, files):
    model = {"ad_controlnet_model": "control_v11p_sd15_canny"}
    for fields, field, message in (
        ({"ad_controlnet_module": "bogus"}, "ad_controlnet_module", "unknown preprocessor bogus"),
        ({"ad_controlnet_module": "mlsd"}, "ad_controlnet_module", "mlsd is not supported: "),
        ({"ad_controlnet_guidance_start": 0.9, "ad_controlnet_guidance_end": 0.1}, "ad_controlnet_guidance_start", ""),
    ):  # fmt: skip
        error = entry(alice.post("txt2img", script(unit(**model | fields))))
        assert error["loc"][-2:] == [0, field]
        assert message in error["msg"]


@pytest.mark.parametrize("argument", ["True", 1, [unit()], True])
def test_other_arguments_are_refused_by_their_place(alice, face_models, argument):
    error = entry(alice.post("txt2img", script(True, False, argument, unit())))
    assert error["loc"][-1] == 2


def test_more_than_15_units_are_refused(alice, face_models):
    assert "at most 15" in entry(alice.post("txt2img", script(*[unit()] * 16)))["msg"]


def test_a_missing_face_restorer_is_told_at_the_field(alice, face_models):
    face_models[Kind.FACE_RESTORER].delete()
    error = entry(alice.post("txt2img", script(unit(ad_restore_face=True))))
    assert (error["loc"][-1], "GFPGANv1.4.pth" in error["msg"]) == ("ad_restore_face", True)


def test_skip_img2img_applies_the_passes_to_the_init_image(alice, face_models, red):
    job = alice.submit("img2img", init_images=[red], **script(True, True, unit()))
    assert job.generation_request.details_only
    txt2img = alice.submit(**script(True, True, unit()))
    assert not txt2img.generation_request.details_only
    assert txt2img.received["warnings"] == ["skipping img2img has no effect in txt2img"]


def test_skip_img2img_with_a_mask_disables_the_script_with_a_warning(alice, face_models, red):
    """As in the extension, which prints this to its console."""
    job = alice.submit("img2img", init_images=[red], mask=red, **script(True, True, unit()))
    assert (job.generation_request.detail_passes, job.generation_request.details_only) == ((), False)
    [warning] = job.received["warnings"]
    assert "img2img cannot be skipped for a request with a mask" in warning


def test_options_of_img2img_apply_to_detail_passes(passes):
    [part] = passes(unit(), override_settings={"initial_noise_multiplier": 0.9, "overlay_inpaint": False})
    assert (part.noise_multiplier, part.overlay) == (0.9, False)


def test_many_regions_are_a_warning(alice, face_models):
    job = alice.submit(**script(unit(ad_mask_k=100)))
    assert job.generation_request.detail_passes[0].max_regions == 64
    assert "ad_mask_k has no effect above 64" in job.received["warnings"][0]


def test_limits_of_the_source_apply(alice, source, face_models):
    source.max_steps = 20
    source.save()
    error = entry(alice.post("txt2img", {"steps": 10} | script(unit(ad_use_steps=True, ad_steps=100))))
    assert "must be at most 20" in error["msg"]


def test_infotext_and_info_have_the_fields_of_the_extension(alice, face_models, complete, info):
    fields = {"ad_prompt": "one [SEP] two", "ad_mask_k": 1, "ad_use_steps": True, "ad_steps": 12}
    job = alice.submit(prompt="a cat", **script(unit(), unit(**fields)))
    complete(job)
    extra = info(alice.result(job))["extra_generation_params"]
    found = {name: value for name, value in extra.items() if name.startswith("ADetailer")}
    assert found == {
        "ADetailer model": FACES,
        "ADetailer confidence": 0.3,
        "ADetailer dilate erode": 4,
        "ADetailer mask blur": 4,
        "ADetailer denoising strength": 0.4,
        "ADetailer inpaint only masked": True,
        "ADetailer inpaint padding": 32,
        "ADetailer model 2nd": FACES,
        "ADetailer prompt 2nd": "one [SEP] two",
        "ADetailer confidence 2nd": 0.3,
        "ADetailer method to decide top k masks 2nd": "Area",
        "ADetailer mask only top k 2nd": 1,
        "ADetailer dilate erode 2nd": 4,
        "ADetailer mask blur 2nd": 4,
        "ADetailer denoising strength 2nd": 0.4,
        "ADetailer inpaint only masked 2nd": True,
        "ADetailer inpaint padding 2nd": 32,
        "ADetailer use separate steps 2nd": True,
        "ADetailer steps 2nd": 12,
        "ADetailer version": "25.3.0",
    }


def test_clients_find_the_script_by_its_name(alice):
    assert "adetailer" in alice.get("scripts").json()["txt2img"]
    entries = [each for each in alice.get("script-info").json() if each["name"] == "adetailer"]
    assert [(each["is_alwayson"], each["is_img2img"]) for each in entries] == [(True, False), (True, True)]
