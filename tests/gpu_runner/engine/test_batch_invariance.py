"""Batch invariance: an image is equal whatever else shares its device calls, for every sampler and feature."""

import hashlib
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from gpu_runner.engine.engine import Engine
from gpu_runner.models.conversion.ldm_keys import from_diffusers, vae_pairs
from gpu_runner.models.store import ModelStore
from gpu_runner.networks import batched_calls
from gpu_runner.networks.operations import Denoise
from gpu_runner.protocol import Done, InputImage, ModelFile, Progress
from gpu_runner.protocol.catalogs import samplers as sampler_catalog
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.details import DetailPass, FaceRestoration
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint, LoraUse, MagicMix, Refiner
from gpu_runner.protocol.request_parts.upscaling import Upscale
from tests.support import face_files, upscaler_files
from tests.support.demo_engine import DEMO_MODELS, demo_file
from tests.support.event_listener import Listener, image_file, order_of, png
from tests.support.face_files import YUNET
from tests.support.lora_files import LINEAR, TEXT, kohya
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors
from tests.support.tiny_models import random_modules, single_file_tensors, write_checkpoint

pytestmark = pytest.mark.slow

TOLERANCE = 1  # levels of 255; sums of floats depend on the shape of the batch
SOURCE = image_file("red")
LEFT_HALF = png(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, axis=0).astype(np.uint8)))
PHOTOGRAPH = png(face_files.photograph())
INPUTS = (SOURCE, LEFT_HALF, PHOTOGRAPH)


def name_of(data):
    return InputImage(sha256=hashlib.sha256(data).hexdigest())


def control(model="one", **fields):
    return ControlUnit(**{"model": model, "image": name_of(LEFT_HALF)} | fields)


def img2img(**fields):
    return {"task": "img2img", "init_images": (name_of(SOURCE),), **fields}


LORA = {"loras": (LoraUse(name="one", unet=5.0),)}
CONTROLNET = {"controls": (control(),)}
WEAK_CONTROLNET = {"controls": (control(weight=0.2),)}  # leaves the effect of a LoRA visible
INPAINT = img2img(inpaint=Inpaint(mask=name_of(LEFT_HALF)))
HIRES = {"hires": Hires(width=96, height=96, strength=0.6, num_inference_steps=2)}
FEATURES = {
    "plain": {},
    "other size": {"width": 96},
    "several images and clip skip": {"num_images": 2, "batch_size": 2, "clip_skip": 2},
    "guidance scale 1": {"guidance_scale": 1.0},
    "high guidance scale": {"guidance_scale": 13.0, "negative_prompt": "a cat"},
    "empty prompt": {"prompt": ""},
    "long prompt": {"prompt": "a long " * 90},
    "composed prompt": {"prompt": "a blue star AND (a cat:1.2) BREAK on a mat"},
    "scheduled prompt": {"prompt": "a [red:green:0.5] [circle|square] AND a dog:0.4"},
    "variation seed and churn": {"subseed": 5, "subseed_strength": 0.4, "s_churn": 3.0},
    "NV noise and s_min_uncond": {"noise_source": "nv", "eta_noise_seed_delta": 3, "s_min_uncond": 3.0},
    "seed resize and Karras": {
        "seed_resize_from_width": 64,
        "seed_resize_from_height": 128,
        "eta": 0.5,
        "scheduler": "Karras",
    },
    "LoRA": LORA,
    "two LoRAs": {"loras": (LoraUse(name="two", unet=3.0), LoraUse(name="one"))},
    "VAE": {"vae": "other"},
    "tiling": {"tiling": True},
    "refiner": {"refiner": Refiner(checkpoint="refiner", switch_at=0.5)},
    "ControlNet": CONTROLNET,
    "ControlNet in a part of the steps": {"controls": (control(guidance_start=0.3, guidance_end=0.8),)},
    "two ControlNets, one of them in a region": {
        "controls": (control(), control("two", region=name_of(LEFT_HALF)))
    },
    "ControlNet of control mode": {"controls": (control("two", control_mode="control"),)},
    "pooling ControlNet of prompt mode": {
        "controls": (control("shuffle", control_mode="prompt", weight=0.7),)
    },
    "reference": {"controls": (control("", module="reference_adain+attn"),)},
    "img2img": img2img(strength=0.3),
    "magic mix": img2img(strength=0.5, magic_mix=MagicMix(kmin=0.0, mix_factor=0.0)),
    "editing by instruction": img2img(strength=1.0),
    "two-row editing by instruction": img2img(strength=0.6, image_guidance_scale=1.0, guidance_scale=12.0),
    "inpainting": INPAINT,
    "inpainting of noise": img2img(inpaint=Inpaint(mask=name_of(LEFT_HALF), content="noise", overlay=False)),
    "hires": HIRES,
    "LoRA and ControlNet": LORA | WEAK_CONTROLNET,
    "inpainting with LoRA and ControlNet": INPAINT | LORA | WEAK_CONTROLNET,
    "detail passes": {
        "task": "img2img",
        "init_images": (name_of(PHOTOGRAPH),),
        "detail_passes": (
            DetailPass(detector="yunet", strength=0.8),
            DetailPass(detector="yunet", shape="eyes", controls=(control(image=None, weight=0.3),)),
        ),
        "details_only": True,
    },
    "hires with LoRA and ControlNet": HIRES | LORA | WEAK_CONTROLNET,
}
WITHOUT_SAMPLER = {
    "upscaling": {
        "task": "upscale",
        "init_images": (name_of(SOURCE),),
        "upscale": Upscale(scale=2, upscaler="sharpener"),
    },
    "face restoration": {
        "task": "upscale",
        "init_images": (name_of(PHOTOGRAPH),),
        "upscale": Upscale(scale=1),
        "face_restoration": FaceRestoration(model="dreamer", detector="yunet"),
    },
    "face restoration of a larger image": {
        "task": "upscale",
        "init_images": (name_of(PHOTOGRAPH),),
        "upscale": Upscale(scale=2, upscaler="Lanczos"),
        "face_restoration": FaceRestoration(model="dreamer", detector="yunet"),
    },
}
SAMPLERS = [sampler.name for sampler in sampler_catalog.SAMPLERS]
SAME_SEED = 99
BY_INSTRUCTION = "editing by instruction"  # in the names of features with an InstructPix2Pix checkpoint
# Every feature with a sampler that draws no noise (all of the same seed) and with one that does, and every sampler.
CASES = [(feature, "Euler", SAME_SEED) for feature in FEATURES]
CASES += [(feature, "DPM++ 2S a", seed) for seed, feature in enumerate(FEATURES)]
CASES += [(list(FEATURES)[seed % len(FEATURES)], sampler, seed) for seed, sampler in enumerate(SAMPLERS)]
CASES += [(feature, "", SAME_SEED) for feature in WITHOUT_SAMPLER]


class StoreWithRestorer(ModelStore):
    """A store whose face restorer has few channels, which no model file can have."""

    def face_restorer(self, file):
        return RESTORER


RESTORER = face_files.dreamer()


@pytest.fixture(scope="module")
def models(tiny_checkpoint, tiny_modules):
    root, _checkpoint = tiny_checkpoint

    def lora(name, seed):
        path = root / f"invariance-{name}.safetensors"
        save_file(kohya(tiny_modules, (LINEAR,), (TEXT,), seed=seed), path)
        return ModelFile(path=path.name, sha256=hashlib.sha256(path.read_bytes()).hexdigest())

    def controlnet(path, tensors):
        return write_tensors(root, f"controlnet/invariance-{path}", tensors)

    instruct = single_file_tensors(random_modules(seed=4, in_channels=8))
    vae, refiner = random_modules(seed=7).vae, single_file_tensors(random_modules(seed=9))
    vae_tensors = from_diffusers(vae.state_dict(), "", vae_pairs(vae.config))
    vae_tensors = {name: tensor.contiguous() for name, tensor in vae_tensors.items()}
    (root / YUNET).parent.mkdir(exist_ok=True)
    shutil.copy(DEMO_MODELS / YUNET, root / YUNET)
    return {
        "lora:one": lora("one", 0),
        "lora:two": lora("two", 3),
        "vae:other": write_checkpoint(root, "vae/invariance.safetensors", vae_tensors),
        "checkpoint:refiner": write_checkpoint(root, "checkpoints/invariance.safetensors", refiner),
        "checkpoint:instruct": write_checkpoint(
            root, "checkpoints/invariance-instruct.safetensors", instruct
        ),
        "controlnet:one": controlnet("one.safetensors", ldm_tensors(random_controlnet(1))),
        "controlnet:two": controlnet("two.safetensors", random_controlnet(2).state_dict()),
        "controlnet:shuffle": controlnet("shuffle.pth", ldm_tensors(random_controlnet(1))),
        "upscaler:sharpener": upscaler_files.write(root, "sharpener.safetensors", upscaler_files.sharpener()),
        "face_restorer:dreamer": ModelFile(path="face_restoration/dreamer.pth", sha256="0" * 64),
        "face_detector:yunet": demo_file(YUNET),
    }


@pytest.fixture(scope="module")
def engine(tiny_checkpoint):
    store = StoreWithRestorer(tiny_checkpoint[0], "cpu", torch.float32, 2**34)
    engine = Engine(store, torch.device("cpu"))
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture(scope="module")
def submit(engine, tiny_checkpoint, models):
    def submit(case):
        feature, sampler, seed = case
        fields = (FEATURES | WITHOUT_SAMPLER)[feature]
        options = {"sampler": sampler, "num_inference_steps": 3} if sampler else {}
        listener = Listener()
        checkpoint = models["checkpoint:instruct"] if BY_INSTRUCTION in feature else tiny_checkpoint[1]
        engine.submit(
            order_of(
                f"{feature} {sampler} {seed}",
                checkpoint,
                more=INPUTS,
                models=models,
                **({"seed": seed} | options | fields),
            ),
            listener,
        )
        return listener

    return submit


def images_of(listener):
    end = listener.end()
    assert isinstance(end, Done), end
    return listener.pixels


@pytest.fixture(scope="module")
def together(submit):
    """Images of all cases, submitted at the same time, and the size of each batch of denoising steps."""
    sizes, execute = [], batched_calls.execute

    def counting(operations):
        if isinstance(operations[0], Denoise):
            sizes.append(len(operations))
        return execute(operations)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batched_calls, "execute", counting)
        listeners = [submit(case) for case in dict.fromkeys(CASES)]
        images = [images_of(listener) for listener in listeners]
    return dict(zip(dict.fromkeys(CASES), images, strict=True)), sizes


def difference(one, other):
    return 255 if one.shape != other.shape else np.abs(one - other).max()


def test_jobs_share_batches(together):
    assert max(together[1]) >= 4


@pytest.mark.parametrize(
    "case", dict.fromkeys(CASES), ids=lambda case: f"{case[0]} by {case[1] or 'no sampler'}"
)
def test_image_does_not_depend_on_its_batch(submit, together, case):
    alone = images_of(submit(case))
    for one, other in zip(alone, together[0][case], strict=True):
        assert difference(one, other) <= TOLERANCE


def test_every_feature_changes_the_image(together):
    """Otherwise the comparison above would not test the feature."""
    images = {feature: together[0][feature, "Euler", SAME_SEED][0] for feature in FEATURES}
    equal = [
        (one, other)
        for one in images
        for other in images
        if one < other and difference(images[one], images[other]) <= TOLERANCE
    ]
    assert equal == []


def test_job_that_joins_later_does_not_change_a_running_image(submit):
    case = ("plain", "Euler", 1)
    alone = images_of(submit(case))
    running = submit(case)
    running.until(Progress)
    images_of(submit(("plain", "DPM++ 2M", 2)))
    assert difference(images_of(running)[0], alone[0]) <= TOLERANCE
