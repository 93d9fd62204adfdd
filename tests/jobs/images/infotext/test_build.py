import pytest

from gpu_runner.protocol import GenerationRequest
from jobs.images.infotext.build import infotext
from jobs.models import Job
from models_registry.models import ModelFile

CHECKPOINT = ModelFile(name="v1-5-pruned-emaonly", sha256="6ce0161689" + "0" * 54)


def infotext_of(index: int = 0, name: str = CHECKPOINT.name, **fields) -> str:
    checkpoint = ModelFile(name=name, sha256=CHECKPOINT.sha256)
    job = Job(checkpoint=checkpoint, checkpoint_sha256=checkpoint.sha256)
    return infotext(job, GenerationRequest(**({"prompt": "a cat", "seed": 1003} | fields)), index)


def parameters(**fields) -> str:
    return infotext_of(**fields).splitlines()[-1]


def test_infotext_has_the_format_of_a1111():
    text = infotext_of(
        negative_prompt="blurry",
        sampler="DPM++ 2M",
        task="img2img",
        init_images=({"sha256": "0" * 64},),
        strength=0.6,
        clip_skip=2,
    )
    assert text == (
        "a cat\n"
        "Negative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.0, Seed: 1003, Size: 512x512, "
        "Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, Denoising strength: 0.6, Clip skip: 2, "
        "RNG: CPU, Version: Atelier"
    )


def test_defaults_are_not_written():
    text = infotext_of()
    assert text.splitlines()[0] == "a cat"
    assert len(text.splitlines()) == 2
    for key in ("Negative prompt", "Denoising strength", "Clip skip", "Eta"):
        assert key not in text


def test_prompt_may_span_lines():
    assert infotext_of(prompt="a cat\non a mat").startswith("a cat\non a mat\nSteps: 20")


@pytest.mark.parametrize(
    ("sampler", "scheduler", "written_as"),
    [
        ("DPM++ 2M", "Automatic", "Karras"),
        ("Euler a", "Automatic", "Automatic"),
        ("DDIM", "Automatic", "Automatic"),
        ("Euler", "Exponential", "Exponential"),
    ],
)
def test_schedule_type_is_the_one_in_effect(sampler, scheduler, written_as):
    assert f"Schedule type: {written_as}, " in parameters(sampler=sampler, scheduler=scheduler)


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a, b", '"a, b"'),
        ("a: b", '"a: b"'),
        ("画坊, 一", '"画坊, 一"'),
        ('say "a", b', r'"say \"a\", b"'),
        ("a b", "a b"),
    ],
)
def test_value_with_a_separator_is_quoted(name, quoted):
    assert f"Model: {quoted}, RNG" in parameters(name=name)


@pytest.mark.parametrize(
    ("sampler", "eta", "line"),
    [
        ("Euler a", 0.5, "Eta: 0.5, "),
        ("DDIM", 0.5, "Eta DDIM: 0.5, "),
        ("Euler a", 1.0, ""),
        ("DDIM", 0.0, ""),
        ("Euler", 0.5, ""),
    ],
)
def test_eta_is_written_if_it_has_an_effect_and_is_not_the_default(sampler, eta, line):
    assert parameters(sampler=sampler, eta=eta).endswith(
        f"Model: v1-5-pruned-emaonly, RNG: CPU, {line}Version: Atelier"
    )


def test_each_image_has_its_own_seed():
    assert "Seed: 9, " in parameters(seed=7, index=2)


def test_variations_share_the_seed_and_have_their_own_variation_seeds():
    line = parameters(seed=7, index=2, subseed=100, subseed_strength=0.3)
    assert "Seed: 7, " in line
    assert "Variation seed: 102, Variation seed strength: 0.3, RNG" in line


def test_noise_and_sampler_settings_are_written_in_the_order_of_a1111():
    line = parameters(
        sampler="DPM2 a",
        scheduler="Beta",
        seed_resize_from_width=512,
        seed_resize_from_height=768,
        noise_source="nv",
        eta_noise_seed_delta=31337,
        s_noise=1.1,
        s_min_uncond=2.5,
        schedule_bend={"sigma_max": 10, "beta_alpha": 0.5},
    )
    assert line.endswith(
        "Seed resize from: 512x768, ENSD: 31337, RNG: NV, Sigma noise: 1.1, NGMS: 2.5, "
        "Schedule max sigma: 10.0, Beta schedule alpha: 0.5, Beta schedule beta: 0.6, Version: Atelier"
    )


def test_settings_without_effect_are_not_written():
    line = parameters(sampler="DPM++ 2M", s_churn=4, s_noise=1.1, eta_noise_seed_delta=1, unipc={"order": 2})
    assert line.endswith("RNG: CPU, Version: Atelier")


def test_churn_and_unipc_settings_are_written_for_samplers_that_use_them():
    assert "Sigma churn: 4.0, Sigma tmax: 9.0, Version" in parameters(s_churn=4, s_tmax=9)
    assert "UniPC variant: bh2, UniPC order: 2, Version" in parameters(
        sampler="UniPC", unipc={"variant": "bh2", "order": 2}
    )
    assert "Discard penultimate sigma: True, Version" in parameters(discard_penultimate=True)


@pytest.mark.parametrize("sampler", ["DDIM", "DDIM CFG++", "PLMS", "UniPC"])
def test_the_discarded_sigma_is_written_for_samplers_on_own_timesteps(sampler):
    assert "Discard penultimate sigma: True, Version" in parameters(sampler=sampler, discard_penultimate=True)


def test_schedule_settings_of_dpm_adaptive_are_written_where_it_uses_the_schedule():
    bend = {"schedule_bend": {"sigma_max": 10}, "scheduler": "Karras"}
    assert "Schedule max sigma" not in parameters(sampler="DPM adaptive", **bend)
    hires = {"hires": {"width": 1024, "height": 1024}}
    assert "Schedule max sigma: 10.0" in parameters(sampler="DPM adaptive", **bend, **hires)


def test_embeddings_are_written_with_their_hashes():
    files = {"embedding:bad-hands": {"path": "embeddings/bad-hands.pt", "sha256": "ab" * 32}}
    job = Job(checkpoint=CHECKPOINT, checkpoint_sha256=CHECKPOINT.sha256, files=files)
    text = infotext(job, GenerationRequest(negative_prompt="bad-hands", embeddings=("bad-hands",)), 1)
    assert 'TI hashes: "bad-hands: abababababab", Version' in text


def test_emphasis_mode_is_written_if_a_prompt_has_brackets():
    assert "Emphasis: No norm, Version" in parameters(prompt="a (red:1.2) cat", emphasis="No norm")
    assert "Emphasis" not in parameters(emphasis="No norm")
    assert "Emphasis" not in parameters(prompt="a (red:1.2) cat")


def with_files(files: dict[str, dict[str, str]], **fields) -> str:
    job = Job(checkpoint=CHECKPOINT, checkpoint_sha256=CHECKPOINT.sha256, files=files)
    return infotext(job, GenerationRequest(**fields), 1).splitlines()[-1]


def test_other_models_are_written_with_their_hashes():
    files = {
        "vae:soft": {"path": "vae/soft.pt", "sha256": "1" * 64},
        "checkpoint:finer": {"path": "checkpoints/finer.safetensors", "sha256": "2" * 64},
        "lora:detail": {"path": "loras/detail.safetensors", "sha256": "3" * 64, "tensors_sha256": "4" * 64},
    }
    text = with_files(
        files,
        vae="soft",
        refiner={"checkpoint": "finer", "switch_at": 0.8},
        loras=({"name": "detail"},),
        tiling=True,
    )
    assert "Model: v1-5-pruned-emaonly, VAE hash: 1111111111, VAE: soft.pt, RNG: CPU, Tiling: True" in text
    assert "Refiner: finer [2222222222], Refiner switch at: 0.8" in text
    assert 'Lora hashes: "detail: 444444444444"' in text


def test_detail_passes_have_the_names_of_the_extension():
    part = {
        "detector": "yunet",
        "regions": ({"prompt": "one", "negative_prompt": "bad"}, {"skip": True}),
        "max_share": 0.5,
        "merge": "invert",
        "only_masked": False,
        "width": 768,
        "height": 512,
        "guidance_scale": 5.0,
        "vae": "",
        "sampler": "Heun",
        "clip_skip": 2,
        "controls": ({"model": "canny", "module": "canny", "weight": 0.5},),
    }
    written = parameters(detail_passes=(part,))
    assert (
        "ADetailer model: yunet, ADetailer prompt: one [SEP] [SKIP], ADetailer negative prompt: bad [SEP] , "
        "ADetailer confidence: 0.3, ADetailer mask max ratio: 0.5, ADetailer dilate erode: 4, "
        "ADetailer mask merge invert: Merge and Invert, ADetailer mask blur: 4, ADetailer denoising strength: 0.4, "
        "ADetailer inpaint only masked: False, ADetailer use inpaint width height: True, "
        "ADetailer inpaint width: 768, ADetailer inpaint height: 512, ADetailer use separate CFG scale: True, "
        "ADetailer CFG scale: 5.0, ADetailer use separate VAE: True, ADetailer VAE: Automatic, "
        "ADetailer use separate sampler: True, ADetailer sampler: Heun, ADetailer use separate CLIP skip: True, "
        "ADetailer CLIP skip: 2, ADetailer ControlNet model: canny, ADetailer ControlNet module: canny, "
        "ADetailer ControlNet weight: 0.5, ADetailer version: 25.3.0, Version: Atelier"
    ) in written


def test_regions_beyond_the_maximum_are_counted():
    job = Job(checkpoint=CHECKPOINT, checkpoint_sha256=CHECKPOINT.sha256)
    request = GenerationRequest(detail_passes=({"detector": "yunet"},))
    assert infotext(job, request, 0, 3).endswith(", ADetailer regions left out: 3")
    assert "left out" not in infotext(job, request, 0)
