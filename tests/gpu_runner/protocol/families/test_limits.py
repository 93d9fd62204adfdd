"""What flow-matching families refuse, and what has no effect with them."""

from dataclasses import replace

import pytest

from gpu_runner.protocol import GenerationRequest, Hires
from gpu_runner.protocol.families.limits import left_out, limits
from gpu_runner.protocol.families.registry import FAMILIES, family_of
from gpu_runner.protocol.prompt.window import cut_prompts
from gpu_runner.protocol.request_parts.passes import LoraUse, Refiner
from gpu_runner.protocol.request_parts.sampling import SigmaOverrides


def fields(family, **values):
    request = GenerationRequest(**{"prompt": "a cat", "sampler": "Euler"} | values)
    return [limit.field for limit in limits(FAMILIES[family], request)]


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"sampler": "DDIM"}, "sampler"),
        ({"sampler": "Restart"}, "sampler"),
        ({"hires": Hires(width=512, height=512, sampler="PLMS")}, "sampler"),
        ({"scheduler": "Exponential"}, "scheduler"),
        ({"eta": 1.5}, "eta"),
        ({"width": 520}, "width"),
        ({"clip_skip": 2}, "clip_skip"),
        ({"tiling": True}, "tiling"),
        ({"s_churn": 1.0}, "s_churn"),
        ({"refiner": Refiner(checkpoint="b", switch_at=0.5)}, "refiner"),
        ({"schedule_bend": SigmaOverrides(sigma_max=5)}, "schedule_bend"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_what_a_flow_matching_family_refuses_is_allowed_for_stable_diffusion(values, field):
    assert fields("sd3", **values) == [field]
    assert fields("sdxl", **values) == []


def test_a_refused_sampler_comes_with_the_list_of_those_that_work():
    request = GenerationRequest(prompt="a cat", sampler="DPM adaptive")
    limit = next(limits(FAMILIES["sd3"], request))
    assert limit.got == "DPM adaptive"
    assert {"Euler", "DPM++ 2M", "UniPC", "LCM"} <= set(limit.allowed)
    assert "DPM adaptive" not in limit.allowed


def test_a_negative_prompt_has_no_effect_without_guidance_by_it():
    """Clients send one whatever the model, so that it is noted and not refused."""
    request = GenerationRequest(prompt="a cat", negative_prompt="a dog")
    assert left_out(FAMILIES["flux1"], request) == ("negative_prompt",)
    assert left_out(FAMILIES["flux1"], request.model_copy(update={"negative_prompt": " "})) == ()
    assert left_out(FAMILIES["sd3"], request) == ()


def test_loras_are_for_the_families_that_take_them():
    without = replace(FAMILIES["z_image"], features=frozenset())
    request = GenerationRequest(prompt="a cat", sampler="Euler", loras=(LoraUse(name="a"),))
    assert [limit.field for limit in limits(without, request)] == ["loras"]
    assert not list(limits(FAMILIES["z_image"], request))


def test_embeddings_that_a_prompt_names_have_no_effect():
    request = GenerationRequest(prompt="a cat", embeddings=("plum",), sgm_noise_multiplier=True)
    assert left_out(FAMILIES["z_image"], request) == ("embeddings", "sgm_noise_multiplier")
    assert left_out(FAMILIES["sd15"], request) == ()


def test_a_prompt_beyond_the_window_of_a_language_model_is_cut():
    request = GenerationRequest(prompt="word " * 505, negative_prompt="word " * 503)
    assert cut_prompts(FAMILIES["z_image"], request) == ("prompt",)
    assert cut_prompts(FAMILIES["sd3"], request) == ()
    assert cut_prompts(FAMILIES["flux1"], request) == ()
    assert cut_prompts(family_of("flux1", "schnell"), request) == ("prompt", "negative_prompt")
    assert cut_prompts(FAMILIES["flux2"], request) == ("prompt", "negative_prompt")
    assert cut_prompts(FAMILIES["qwen_image"], request) == ()
