"""Models, schedulers and ControlNets under the names of this API."""

import pytest

from models_registry.models import Kind

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.postgres]

V4 = "v4/dreambooth"


@pytest.fixture
def community(alice):
    return lambda **body: alice.request(V4, model_id="shapes", **body)


@pytest.mark.parametrize(
    ("scheduler", "sampler", "schedule"),
    [
        (None, "UniPC", "Automatic"),
        ("DDPMScheduler", "DDIM", "Automatic"),
        ("DDIMScheduler", "DDIM", "Automatic"),
        ("PNDMScheduler", "PLMS", "Automatic"),
        ("LMSDiscreteScheduler", "LMS", "Karras"),
        ("EulerDiscreteScheduler", "Euler", "Karras"),
        ("EulerAncestralDiscreteScheduler", "Euler a", "Automatic"),
        ("DPMSolverMultistepScheduler", "DPM++ 2M", "Karras"),
        ("HeunDiscreteScheduler", "Heun", "Karras"),
        ("KDPM2DiscreteScheduler", "DPM2", "Karras"),
        ("DPMSolverSinglestepScheduler", "DPM++ SDE", "Karras"),
        ("KDPM2AncestralDiscreteScheduler", "DPM2 a", "Karras"),
        ("UniPCMultistepScheduler", "UniPC", "Automatic"),
        ("DEISMultistepScheduler", "DPM++ 2M", "Karras"),
        ("IPNDMScheduler", "PLMS", "Automatic"),
        ("KarrasVeScheduler", "Heun", "Karras"),
        ("LCMScheduler", "LCM", "Automatic"),
        ("EulerDiscrete", "Euler", "Karras"),
        ("Euler a", "Euler a", "Automatic"),
        ("DPM++ 2M Karras", "DPM++ 2M", "Automatic"),
    ],
)
def test_scheduler_selects_its_sampler(community, scheduler, sampler, schedule):
    request = community(scheduler=scheduler)
    assert (request.sampler, request.scheduler) == (sampler, schedule)


def test_karras_sigmas_can_be_disabled(community):
    assert community(scheduler="EulerDiscreteScheduler", use_karras_sigmas="no").scheduler == "Uniform"


def test_sde_algorithm_of_the_multistep_solver(community):
    multistep = "DPMSolverMultistepScheduler"
    assert community(scheduler=multistep, algorithm_type="dpmsolver+++").sampler == "DPM++ 2M SDE"
    assert community(scheduler=multistep, algorithm_type="none").sampler == "DPM++ 2M"


def test_ddpm_is_ddim_with_an_eta_of_one(community):
    assert community(scheduler="DDPMScheduler").eta == 1.0


def test_lora_strength_is_one_number_or_one_for_each(community, alice, model):
    model(Kind.LORA, "night"), model(Kind.LORA, "rain")
    each = community(lora_model="night,rain", lora_strength="0.45,0.55")
    assert [(lora.name, lora.unet, lora.text_encoder) for lora in each.loras] == [
        ("night", 0.45, 0.45),
        ("rain", 0.55, 0.55),
    ]
    for_all = community(lora_model="night,rain", lora_strength=0.5)
    assert [lora.unet for lora in for_all.loras] == [0.5, 0.5]
    assert community(lora_model="night").loras[0].unet == 1.0
    response = alice.call(V4, prompt="x", model_id="shapes", lora_model="night,rain", lora_strength="1,1,1")
    assert list(response["message"]) == ["lora_strength"]


def test_embeddings_are_added_to_a_prompt_unless_named_there(community, model):
    model(Kind.EMBEDDING, "plum"), model(Kind.EMBEDDING, "easynegative")
    named = community(prompt="a plum circle", embeddings_model="plum")
    assert (named.prompt, named.embeddings) == ("a plum circle", ("plum",))
    added = community(prompt="a circle", embeddings_model="plum,easynegative")
    assert (added.prompt, added.negative_prompt) == ("a circle, plum", "easynegative")
    assert added.embeddings == ("easynegative", "plum")


def test_vae_and_clip_skip(community, alice, model):
    model(Kind.VAE, "sepia")
    request = community(vae="sepia", clip_skip="3")
    assert (request.vae, request.clip_skip) == ("sepia", 3)
    assert community().clip_skip == 2
    assert alice.request().clip_skip == 1


def test_model_list_is_an_array_of_the_sources_models(alice, charlie, source, model):
    model(Kind.LORA, "night", trigger_words="by night").allowed_sources.add(source)
    rows = alice.call(f"{V4}/model_list")
    assert [row["model_id"] for row in rows] == ["shapes", "night"]
    assert rows[1] == {
        "model_id": "night",
        "status": "model_ready",
        "created_at": None,
        "instance_prompt": "by night",
        "model_name": "night",
        "description": "LoRA, Stable Diffusion 1.x",
        "screenshots": "",
    }
    assert [row["model_id"] for row in charlie.call("v1/enterprise/get_all_models")] == ["shapes"]


def test_model_reload_succeeds_for_known_models(alice):
    assert alice.call(f"{V4}/model_reload", model_id="shapes")["status"] == "success"
    assert alice.call(f"{V4}/model_reload", model_id="x")["message"] == "Model id not found"


def test_every_listed_scheduler_is_accepted(alice, community):
    names = alice.call("v1/enterprise/schedulers_list")["schedulers"]
    assert len(names) == 16
    assert all(community(scheduler=name) for name in names)


def test_system_load_counts_queued_jobs(alice, work):
    assert alice.call("v3/system_load") == {"queue_num": 0, "queue_time": 0, "status": "ok"}
    alice.generate()
    response = alice.call("v3/system_load")
    assert response["queue_num"] == 1
    assert response["queue_time"] >= 1


@pytest.fixture
def control(alice, model, red):
    for name in ("control_v11p_sd15_canny", "control_v11f1e_sd15_tile", "qr-monster", "sd15-openpose"):
        model(Kind.CONTROLNET, name)

    def request(**body):
        return alice.request("v5/controlnet", **({"init_image": red, "controlnet_type": "canny"} | body))

    return request


def test_init_image_is_the_control_image_of_txt2img(control):
    request = control(controlnet_model="canny", controlnet_conditioning_scale="1.5", guess_mode="yes")
    (unit,) = request.controls
    assert (request.task, unit.model, unit.module) == ("txt2img", "control_v11p_sd15_canny", "canny")
    assert (unit.weight, unit.control_mode) == (1.5, "control")


def test_control_image_beside_the_init_image_is_img2img(control, red):
    request = control(control_image=red, strength=None)
    assert (request.task, request.strength) == ("img2img", 0.55)
    assert request.init_images
    assert control(mask_image=red).inpaint


def test_without_auto_hint_the_image_is_the_control_map(control):
    assert control(auto_hint="no").controls[0].module == "none"
    assert control(controlnet_type="openpose", auto_hint="no").controls[0].model == "sd15-openpose"
    assert control(controlnet_type="qrcode").controls[0].module == "none"


def test_several_controlnets(control):
    request = control(
        controlnet_model="canny,tile", controlnet_type="canny,tile", controlnet_conditioning_scale="0.3,0.7"
    )
    assert [(unit.module, unit.weight) for unit in request.controls] == [
        ("canny", 0.3),
        ("tile_resample", 0.7),
    ]


def test_pose_without_the_networks_is_refused_with_the_command(alice, control, red):
    refused = alice.refused("v5/controlnet", init_image=red, controlnet_type="openpose")
    assert "python manage.py install_pose_models" in str(refused)


def test_pose_with_the_networks_is_drawn_by_openpose(control, model):
    model(Kind.PREPROCESSOR, "mediapipe_holistic")
    assert control(controlnet_type="openpose").controls[0].module == "openpose_full"


def test_type_without_a_preprocessor_is_refused_with_its_field(alice, control, red):
    for kind in ("mlsd", "normal", "segmentation", "nonsense"):
        assert list(alice.refused("v5/controlnet", init_image=red, controlnet_type=kind)) == [
            "controlnet_type"
        ]
    assert list(alice.refused("v5/controlnet", init_image=red, controlnet_model="x")) == ["controlnet_model"]
    assert list(alice.refused("v5/controlnet", controlnet_type="canny")) == ["init_image"]


def test_processing_response_of_controlnet_has_an_empty_string_as_output(alice, control, red):
    response = alice.generate("v5/controlnet", init_image=red, controlnet_type="canny")[0]
    assert response["output"] == ""
    assert {"controlnet_model", "controlnet_type", "controlnet_conditioning_scale", "auto_hint", "guess_mode",
            "clip_skip", "init_image", "mask_image", "vae"} <= set(response["meta"])  # fmt: skip
