import pytest

from gpu_runner.protocol import GenerationRequest
from jobs.infotext import infotext
from jobs.models import Job
from models_registry.models import ModelFile

CHECKPOINT = ModelFile(name="v1-5-pruned-emaonly", sha256="6ce0161689" + "0" * 54)


def written(seed: int = 1003, name: str = CHECKPOINT.name, **fields) -> str:
    checkpoint = ModelFile(name=name, sha256=CHECKPOINT.sha256)
    job = Job(checkpoint=checkpoint, checkpoint_sha256=checkpoint.sha256)
    return infotext(job, GenerationRequest(**({"prompt": "a cat"} | fields)), seed)


def parameters(**fields) -> str:
    return written(**fields).splitlines()[-1]


def test_text_is_the_one_that_a1111_writes():
    text = written(
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
        "Version: Atelier"
    )


def test_what_was_not_asked_for_is_not_written():
    text = written()
    assert text.splitlines()[0] == "a cat"
    assert len(text.splitlines()) == 2
    for key in ("Negative prompt", "Denoising strength", "Clip skip", "Eta"):
        assert key not in text


def test_prompt_may_span_lines():
    assert written(prompt="a cat\non a mat").startswith("a cat\non a mat\nSteps: 20")


@pytest.mark.parametrize(
    ("sampler", "scheduler", "written_as"),
    [
        ("DPM++ 2M", "Automatic", "Karras"),
        ("Euler a", "Automatic", "Automatic"),
        ("DDIM", "Automatic", "Automatic"),
        ("Euler", "Exponential", "Exponential"),
    ],
)
def test_schedule_type_is_the_one_that_was_walked(sampler, scheduler, written_as):
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
def test_value_with_a_mark_of_the_format_is_quoted(name, quoted):
    assert f"Model: {quoted}, Version" in parameters(name=name)


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
def test_eta_is_written_where_it_acts_and_is_unusual(sampler, eta, line):
    assert parameters(sampler=sampler, eta=eta).endswith(
        f"Model: v1-5-pruned-emaonly, {line}Version: Atelier"
    )


def test_each_picture_has_its_own_seed():
    assert "Seed: 7, " in parameters(seed=7)
