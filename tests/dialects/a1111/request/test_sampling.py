"""Seeds, noise and sampling: fields and their options."""

import pytest

pytestmark = pytest.mark.slow


def request_of(alice, options=None, **fields):
    return alice.submit(override_settings=options or {}, **fields).generation_request


@pytest.mark.parametrize("name", ["DPM++ SDE", "Restart", "DDIM CFG++", "LCM", "DPM adaptive"])
def test_samplers_of_the_original_are_supported(alice, name) -> None:
    assert request_of(alice, sampler_name=name).sampler == name


def test_variations_share_one_seed(alice, complete, info) -> None:
    job = alice.submit(batch_size=3, seed=5, subseed=70, subseed_strength=0.4)
    complete(job)
    result = info(alice.result(job))
    assert (result["all_seeds"], result["all_subseeds"]) == ([5, 5, 5], [70, 71, 72])
    assert (result["subseed"], result["subseed_strength"]) == (70, 0.4)


@pytest.mark.parametrize("seed", [2**53 - 1, 2**63, 2**64 - 1, -2])
def test_seeds_of_64_bits_are_kept(alice, complete, info, seed) -> None:
    job = alice.submit(seed=seed, subseed=2**40, subseed_strength=0.1)
    complete(job)
    result = info(alice.result(job))
    assert (result["seed"], result["all_seeds"], result["subseed"]) == (seed, [seed], 2**40)
    assert result["infotexts"][0].endswith(f"Seed: {seed}")
    assert job.outputs.get().seed == seed % 2**64


def test_infotext_brings_a_seed_of_64_bits(alice) -> None:
    text = "x\nSteps: 1, Sampler: Euler, Seed: 804822466654819, Variation seed: 18446744073709551615, CFG scale: 7"
    request = request_of(alice, infotext=text)
    assert (request.seed, request.subseed) == (804822466654819, 2**64 - 1)


@pytest.mark.parametrize("seed", [None, -1, "-1"])
def test_seed_of_minus_1_is_random(alice, seed) -> None:
    assert 0 <= request_of(alice, seed=seed).seed < 2**32


def test_subseed_defaults_to_a_random_number(alice) -> None:
    assert request_of(alice).subseed != request_of(alice).subseed


def test_seed_resize_requires_both_sides(alice) -> None:
    both = request_of(alice, seed_resize_from_w=512, seed_resize_from_h=768)
    assert (both.seed_resize_from_width, both.seed_resize_from_height) == (512, 768)
    assert request_of(alice, seed_resize_from_w=512, seed_resize_from_h=-1).seed_resize_from_width == 0


@pytest.mark.parametrize(("option", "noise_source"), [("GPU", "cpu"), ("CPU", "cpu"), ("NV", "nv")])
def test_option_randn_source_selects_the_noise_source(alice, option, noise_source) -> None:
    assert request_of(alice, {"randn_source": option}).noise_source == noise_source


def test_sampling_fields_default_to_the_options(alice) -> None:
    request = request_of(alice, {"s_min_uncond": 2.0}, s_churn=3, s_tmax=9, s_tmin=1, s_noise=1.1)
    assert (request.s_churn, request.s_tmin, request.s_tmax, request.s_noise) == (3, 1, 9, 1.1)
    assert request.s_min_uncond == 2
    assert request_of(alice, {"s_min_uncond": 2.0}, s_min_uncond=0).s_min_uncond == 0


def test_changed_sampling_options_override_the_request(alice) -> None:
    request = request_of(alice, {"s_churn": 7, "s_tmax": 5, "s_noise": 1.2}, s_churn=3, s_tmax=9, s_noise=1.1)
    assert (request.s_churn, request.s_tmax, request.s_noise) == (7, 5, 1.2)


def test_s_tmax_0_means_no_limit(alice) -> None:
    assert request_of(alice, s_tmax=0).s_tmax is None


@pytest.mark.parametrize(
    ("sampler", "eta"),
    [("DDIM CFG++", 0.2), ("DPM++ 2M SDE", 0.7), ("PLMS", None), ("UniPC", None), ("Restart", None)],
)
def test_eta_defaults_to_the_option_of_the_sampler_kind(alice, sampler, eta) -> None:
    assert request_of(alice, {"eta_ddim": 0.2, "eta_ancestral": 0.7}, sampler_name=sampler).eta == eta


def test_schedule_options_are_copied_into_the_request(alice) -> None:
    request = request_of(
        alice,
        {
            "eta_noise_seed_delta": 31337,
            "always_discard_next_to_last_sigma": True,
            "sgm_noise_multiplier": True,
            "sigma_min": 0.1,
            "sigma_max": 9,
            "rho": 5,
            "beta_dist_alpha": 0.5,
            "uni_pc_variant": "bh2",
            "uni_pc_skip_type": "logSNR",
            "uni_pc_order": 2,
            "uni_pc_lower_order_final": False,
        },
    )
    assert (request.eta_noise_seed_delta, request.discard_penultimate) == (31337, True)
    assert request.sgm_noise_multiplier
    bend = request.schedule_bend
    assert (bend.sigma_min, bend.sigma_max, bend.rho, bend.beta_alpha) == (0.1, 9, 5, 0.5)
    assert request.unipc.model_dump() == {
        "variant": "bh2",
        "skip_type": "logSNR",
        "order": 2,
        "lower_order_final": False,
    }


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"subseed_strength": 1.5}, ["body", "subseed_strength"]),
        ({"s_churn": -1}, ["body", "s_churn"]),
        ({"subseed": -(2**63) - 1}, ["body", "subseed"]),
        ({"seed": 2**64}, ["body", "seed"]),
        ({"seed": ""}, ["body", "seed"]),
        ({"seed_resize_from_w": 99_999, "seed_resize_from_h": 64}, ["body", "seed_resize_from_w"]),
        ({"override_settings": {"sigma_min": 5, "sigma_max": 2}}, ["body", "override_settings"]),
    ],
)
def test_invalid_sampling_values_are_rejected_at_their_field(alice, body, place) -> None:
    response = alice.post("txt2img", body)
    assert response.status_code == 422
    assert response.json()["detail"][0]["loc"] == place
