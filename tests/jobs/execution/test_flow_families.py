"""Files of the newer families, from the scan of a folder to an image: joined at the scan, admitted, sent, and drawn."""

import pytest

from gpu_runner.protocol import ModelFile as SentFile
from gpu_runner.protocol import RunRequest
from jobs.admission.admit import admit
from models_registry.models import ModelFile
from models_registry.scanning.scan import scan
from tests.support import flow_models
from tests.support.demo_engine import Drawing, Studio

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    for name in ("flux1", "chroma", "flux2", "qwen_image"):
        flow_models.WRITERS[name](root)
    return root


@pytest.fixture
def scanned(root, settings, db):
    settings.MODELS_ROOT = root
    assert not scan().problems


@pytest.fixture(scope="module")
def studio(root):
    studio = Studio(root, SentFile(path="flux1-dev.safetensors", sha256="0" * 64))
    yield studio
    studio.close()


@pytest.mark.parametrize(
    ("name", "encoders"),
    [("flux1-dev", set()), ("chroma", {"f-t5"}), ("flux2", {"f2-qwen"}), ("qwen-image", {"q-qwen"})],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_scanned_checkpoint_draws_with_the_parts_that_fit_it(scanned, submission, studio, name, encoders):
    fields = {"sampler": "Euler", "scheduler": "Automatic", "num_inference_steps": 2, "guidance_scale": 3.0}
    job = admit(submission(checkpoint=name, negative_prompt="blue", **fields))
    sent = {key.partition(":")[2] for key in job.files if key.startswith("text_encoder:")}
    assert sent == encoders
    file = ModelFile.objects.get(name=name)
    run_request = RunRequest(
        job_id=str(job.pk),
        request=job.generation_request,
        checkpoint=SentFile(path=file.path, sha256=file.sha256),
        files={key: SentFile(**kept) for key, kept in job.files.items()},
    )
    drawing = Drawing()
    studio.engine.submit(run_request, drawing)
    image = drawing.images()[0].convert("L")
    assert image.size == (64, 64)
    assert len(set(image.tobytes())) > 10
