"""ControlNets of FLUX.1, and its models for filling and for maps: from the scan of a folder to an image."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from demo.flow_matching.original_layout import original_layout
from gpu_runner.protocol import ModelFile as SentFile
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Inpaint
from gpu_runner.protocol.request_parts.values import InputImage
from jobs.admission.admit import admit
from jobs.errors import Unsupported
from models_registry.models import Kind, ModelFile
from models_registry.scanning.scan import scan
from tests.support import flow_models
from tests.support.demo_engine import Drawing, Studio
from tests.support.flow_controlnets import write_controlnet
from tests.support.transformer_files import tiny

pytestmark = pytest.mark.slow
PICTURE = Image.fromarray((np.indices((64, 64, 3)).sum(0) % 64 * 4).astype(np.uint8))
NETS = ("flux union", "flux edges", "qwen inpainting")


def _file(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


PIXELS = _file(PICTURE)
NAME = InputImage(sha256=hashlib.sha256(PIXELS).hexdigest())
HOLE = _file(Image.new("L", (64, 64), 255))
HOLE_NAME = InputImage(sha256=hashlib.sha256(HOLE).hexdigest())
FILES = {NAME.sha256: PIXELS, HOLE_NAME.sha256: HOLE}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    flow_models.write_schnell(root)
    for name in ("fill", "control"):
        flow_models.written(root, name, original_layout("flux1", tiny(f"flux1 {name}").state_dict()))
    for name in NETS:
        write_controlnet(root, name)
    return root


@pytest.fixture
def asked(root, settings, db, submission):
    """``asked(checkpoint, …)``: a submission for the scanned files."""
    settings.MODELS_ROOT = root
    assert not scan().problems

    def make(checkpoint="schnell", **fields):
        sampling = {
            "sampler": "Euler",
            "scheduler": "Automatic",
            "num_inference_steps": 2,
            "guidance_scale": 3.0,
        }
        return submission(checkpoint=checkpoint, input_files=FILES, **sampling | fields)

    return make


@pytest.fixture(scope="module")
def studio(root):
    studio = Studio(root, SentFile(path="schnell.safetensors", sha256="0" * 64))
    yield studio
    studio.close()


def _drawn(studio, job):
    file = ModelFile.objects.get(name=job.generation_request.checkpoint)
    inputs = {name: base64.b64encode(data).decode() for name, data in FILES.items()}
    run_request = RunRequest(
        job_id=str(job.pk),
        request=job.generation_request,
        checkpoint=SentFile(path=file.path, sha256=file.sha256),
        files={key: SentFile(**kept) for key, kept in job.files.items()},
        inputs=inputs,
    )
    drawing = Drawing()
    studio.engine.submit(run_request, drawing)
    return np.asarray(drawing.images()[0].convert("RGB"), np.int16)


def _unit(model, **fields):
    return ControlUnit(model=model, image=NAME, **fields)


def test_a_controlnet_is_found_and_changes_the_image(asked, studio):
    found = dict(ModelFile.objects.filter(kind=Kind.CONTROLNET).values_list("name", "family"))
    assert found == {"flux-union": "flux1", "flux-edges": "flux1", "qwen-inpainting": "qwen_image"}
    plain = _drawn(studio, admit(asked()))
    for unit in (_unit("flux-edges"), _unit("flux-union", module="canny")):
        controlled = _drawn(studio, admit(asked(controls=(unit,))))
        assert np.abs(plain - controlled).max() > 2


@pytest.mark.parametrize(
    ("unit", "words"),
    [
        (
            {"model": "flux-union"},
            "flux-union is a union ControlNet: control_type must say what the image is",
        ),
        ({"model": "flux-edges", "module": "inpaint"}, "flux-edges reads no mask"),
        (
            {"model": "qwen-inpainting", "module": "inpaint"},
            "qwen-inpainting is for Qwen-Image, and schnell is not.",
        ),
        (
            {"module": "reference_only"},
            "schnell is of the family FLUX.1 schnell, which does not support reference_only.",
        ),
        ({"model": "flux-edges", "layer_weights": (1.0, 1.0)}, "needs 1 weights per layer (got 2)"),
    ],
    ids=["type", "mask", "family", "reference", "weights"],
)
def test_a_unit_that_does_not_fit_is_refused_with_the_reason(asked, unit, words):
    with pytest.raises(Unsupported) as refused:
        admit(asked(controls=(ControlUnit(image=NAME, **unit),)))
    assert words in str(refused.value)


def test_fill_repaints_and_canny_or_depth_need_a_map(asked, studio):
    with pytest.raises(Unsupported, match="it needs an edge or depth map"):
        admit(asked("control"))
    by_map = _drawn(studio, admit(asked("control", controls=(_unit("", module="canny"),))))
    by_image = _drawn(studio, admit(asked("control", task="img2img", init_images=(NAME,), strength=1.0)))
    assert np.abs(by_map - by_image).max() > 2
    masked = {"task": "img2img", "init_images": (NAME,), "inpaint": Inpaint(mask=HOLE_NAME), "strength": 1.0}
    assert len(np.unique(_drawn(studio, admit(asked("fill", **masked))))) > 10
