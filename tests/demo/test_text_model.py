"""A Chinese prompt that the text model translates gives the image that it describes, by the demo checkpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from access.source_settings.prompt_modes import PromptMode
from jobs.admission.admit import admit
from jobs.admission.submission import Submission
from tests.support.demo_engine import Studio
from tests.support.judge import judge
from tests.support.text_model_server import TextModelServer

pytestmark = pytest.mark.demo

PROMPT = "蓝色背景上的红色圆形"


def test_translated_prompt_is_drawn(
    studio: Studio, submission: Callable[..., Submission], text_model: TextModelServer
) -> None:
    settings = {"width": 256, "height": 256, "seed": 8, "num_inference_steps": 20}
    modes = (PromptMode.TRANSLATE, PromptMode.AS_IS)
    jobs = [admit(submission(prompt=PROMPT, prompt_mode=mode, **settings)) for mode in modes]
    drawings = [studio.begin(**dict(job.generation_request)) for job in jobs]  # denoised in one batch
    translated, as_is = (judge(drawing.images()[0]) for drawing in drawings)
    expected = ("circle", "red", "blue")
    assert (translated.shape, translated.color, translated.background) == expected
    assert (as_is.shape, as_is.color, as_is.background) != expected
