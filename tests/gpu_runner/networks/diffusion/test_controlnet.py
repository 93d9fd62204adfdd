"""ControlNet and reference units: residuals, weights per layer and step, regions, and control maps."""

import base64
import hashlib
import io
import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.models.attention import BasicTransformerBlock
from PIL import Image, ImageDraw

from gpu_runner.engine.engine import Engine
from gpu_runner.models.store import ModelStore
from gpu_runner.networks.conditioning import Conditioning
from gpu_runner.networks.diffusion import unet
from gpu_runner.networks.diffusion.controlnet import ControlNetInput
from gpu_runner.networks.diffusion.guidance import DenoiseInput, Guidance
from gpu_runner.networks.diffusion.reference_attention import Reference
from gpu_runner.protocol import ControlMap, Done, GenerationRequest, InputImage, RunRequest
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires, Inpaint
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.tasks.control_schedule import ControlSchedule, scales
from gpu_runner.tasks.denoising_loop import DenoiseContext, SamplingConfig
from tests.support.event_listener import Listener, pixels_of
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow

STEPS = 3


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def circle(size=(64, 64), box=(16, 16, 48, 48)) -> bytes:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse(box, fill="red")
    return png(image)


CIRCLE = circle()
LEFT = png(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, axis=0).astype(np.uint8)))


class Studio:
    """An engine with the tiny checkpoint and tiny ControlNets; ``draw`` returns the pixels of the finished image."""

    def __init__(self, root, checkpoint):
        self.store = ModelStore(root, "cpu", torch.float32, 2**34)
        self.engine = Engine(self.store, torch.device("cpu"))
        self.engine.start()
        self.checkpoint = checkpoint
        self.nets = {
            "one": write_tensors(root, "controlnet/one.safetensors", ldm_tensors(random_controlnet(1))),
            "two": write_tensors(root, "controlnet/two.safetensors", random_controlnet(2).state_dict()),
            "zero": write_tensors(root, "controlnet/zero.safetensors", ldm_tensors(random_controlnet(3, 0))),
            "wide": write_tensors(
                root, "controlnet/wide.pth", random_controlnet(4, cross_attention_dim=96).state_dict()
            ),
            "shuffle": write_tensors(root, "controlnet/shuffle.pth", ldm_tensors(random_controlnet(1))),
        }
        self.count = 0

    def run_request(self, *units, input_images=(CIRCLE, LEFT), **fields):
        inputs = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for data in input_images}
        request = GenerationRequest(
            **{"prompt": "a cat", "width": 64, "height": 64, "num_inference_steps": STEPS, "seed": 3}
            | fields,
            controls=units,
        )
        self.count += 1
        return RunRequest(
            job_id=f"job-{self.count}",
            request=request,
            checkpoint=self.checkpoint,
            files={name.key: self.nets[name.name] for name in request.model_names()},
            inputs=inputs,
        )

    def begin(self, *units, **fields):
        listener = Listener()
        self.engine.submit(self.run_request(*units, **fields), listener)
        return listener

    def end(self, *units, **fields):
        listener = self.begin(*units, **fields)
        return listener, listener.end()

    def draw(self, *units, **fields):
        listener, end = self.end(*units, **fields)
        assert isinstance(end, Done), end
        return listener.pixels[0]


def name_of(data: bytes) -> InputImage:
    return InputImage(sha256=hashlib.sha256(data).hexdigest())


def unit(model="one", image=CIRCLE, **fields) -> ControlUnit:
    return ControlUnit(**{"model": model, "image": image and name_of(image)} | fields)


@pytest.fixture(scope="module")
def studio(tiny_checkpoint):
    studio = Studio(*tiny_checkpoint)
    yield studio
    studio.engine.stop()


@pytest.fixture(scope="module")
def plain(studio):
    return studio.draw()


def difference(one, other) -> int:
    return int(np.abs(one - other).max())


def test_a_controlnet_with_zero_residuals_changes_no_byte(studio, plain):
    assert difference(studio.draw(unit("zero")), plain) == 0


def test_a_controlnet_changes_the_image_according_to_its_hint(studio, plain):
    images = [studio.draw(unit(image=image)) for image in (CIRCLE, LEFT)]
    assert difference(images[0], plain) > 20
    assert difference(*images) > 5


def test_the_effect_grows_with_the_weight_from_none_at_0(studio, plain):
    images = [studio.draw(unit(weight=weight)) for weight in (0, 0.2, 1)]
    distances = [np.abs(image - plain).mean() for image in images]
    assert distances[0] == 0
    assert distances == sorted(distances)


def test_the_residuals_of_several_units_are_added(studio):
    whole = studio.draw(unit(weight=0.5))
    halves = studio.draw(unit(weight=0.25), unit(weight=0.25))
    other = studio.draw(unit(weight=0.25), unit("two", weight=0.25))
    assert difference(whole, halves) <= 1
    assert difference(whole, other) > 5


def make_input(studio, controls_of):
    checkpoint = studio.store.get(studio.checkpoint)
    generator = torch.Generator().manual_seed(1)
    texts = torch.randn(2, 77, 64, generator=generator)
    x = torch.randn(4, 8, 8, generator=generator) * 3
    guidance = Guidance(((Conditioning(texts[0]), 1.0),), Conditioning(texts[1]), 7.0)
    denoise_input = DenoiseInput(x, 3.0, 500.0, guidance, controls=controls_of(checkpoint))
    return checkpoint, denoise_input


def make_control(studio, name="one", **fields):
    model = studio.store.controlnet(studio.nets[name])
    hint = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    layers = len(model.net.controlnet_down_blocks) + 1
    with torch.inference_mode():
        return ControlNetInput(model, model.embedding(hint)[0], (1.0,) * layers, **fields), hint


def test_the_estimate_equals_that_of_diffusers(studio):
    control, hint = make_control(studio)
    checkpoint, denoise_input = make_input(studio, lambda _: (control,))
    net = random_controlnet(1).float()
    with torch.inference_mode():
        x = (denoise_input.x / 10**0.5).repeat(2, 1, 1, 1)
        texts = torch.stack(denoise_input.guidance.contexts(77))
        down, middle = net(x, 500.0, texts, hint.repeat(2, 1, 1, 1), return_dict=False)
        positive, negative = checkpoint.unet(
            x, 500.0, texts, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
    expected = denoise_input.x - 3.0 * (negative + (positive - negative) * 7.0)
    [found] = unet.denoise(checkpoint, [denoise_input])
    assert torch.allclose(found, expected, atol=1e-3)


def test_residuals_are_zero_outside_of_the_region(studio, monkeypatch):
    region = torch.zeros(1, 8, 8)
    region[:, :, :4] = 1
    control, _hint = make_control(studio, region=region)
    checkpoint, denoise_input = make_input(studio, lambda _: (control,))
    seen = {}
    forward = checkpoint.unet.forward
    monkeypatch.setattr(
        checkpoint.unet, "forward", lambda *args, **named: seen.update(named) or forward(*args, **named)
    )
    unet.denoise(checkpoint, [denoise_input])
    first = seen["down_block_additional_residuals"][0]
    assert first[..., :4].abs().min() > 0
    assert first[..., 4:].abs().max() == 0


def test_control_mode_adds_nothing_to_the_negative_rows(studio, monkeypatch):
    control, _hint = make_control(studio, unconditioned=False)
    checkpoint, denoise_input = make_input(studio, lambda _: (control,))
    seen = {}
    forward = checkpoint.unet.forward
    monkeypatch.setattr(
        checkpoint.unet, "forward", lambda *args, **named: seen.update(named) or forward(*args, **named)
    )
    unet.denoise(checkpoint, [denoise_input])
    for residual in (*seen["down_block_additional_residuals"], seen["mid_block_additional_residual"]):
        assert residual[0].abs().max() > 0
        assert residual[1].abs().max() == 0


def prepared_unit(studio, control_unit, **fields):
    """The prepared unit of the first pass."""
    from gpu_runner.tasks.preparation.prepare import prepare

    return prepare(studio.store, studio.run_request(control_unit, **fields)).plan.first.units_of(0)[0]


def test_prompt_and_control_mode_reduce_the_weight_towards_the_first_layers(studio):
    model = studio.store.controlnet(studio.nets["one"])
    weights = {
        mode: scales(prepared_unit(studio, unit(weight=0.5, control_mode=mode)), model)
        for mode in ("balanced", "prompt", "control")
    }
    layers = len(weights["balanced"])
    assert set(weights["balanced"]) == {0.5}
    assert weights["prompt"] == weights["control"]
    assert weights["prompt"] == tuple(0.5 * 0.825 ** (layers - 1 - i) for i in range(layers))


def test_layer_weights_scale_each_layer(studio, plain):
    layers = len(studio.store.controlnet(studio.nets["one"]).net.controlnet_down_blocks) + 1
    assert difference(studio.draw(unit(layer_weights=(0,) * layers)), plain) == 0
    assert difference(studio.draw(unit(layer_weights=(1,) * layers)), studio.draw(unit())) <= 1
    assert "needs" in studio.end(unit(layer_weights=(1, 1)))[1].message


@pytest.mark.parametrize(
    ("window", "acting"),
    [((0, 1), range(20)), ((0, 0.5), range(11)), ((0.5, 1), range(10, 20)), ((0.3, 0.4), (6, 7, 8))],
)
def test_guidance_start_and_end_are_fractions_of_the_steps(studio, window, acting):
    control, _hint = make_control(studio)
    checkpoint, denoise_input = make_input(studio, lambda _: ())
    request = GenerationRequest(width=64, height=64, num_inference_steps=20)
    sampling = SamplingConfig.of(request, NoiseLevels(checkpoint.alphas_cumprod))
    guidance = SimpleNamespace(at=lambda call: denoise_input.guidance)
    context = DenoiseContext(checkpoint, guidance, control_schedules=(ControlSchedule(control, *window),))
    operations = [context.operation(sampling, denoise_input.x, 3.0, call) for call in range(20)]
    assert [call for call, operation in enumerate(operations) if operation.input.controls] == list(acting)


def test_a_shuffle_controlnet_pools_its_residuals(studio):
    controls = [make_control(studio, name)[0] for name in ("shuffle", "one")]
    outputs = []
    for control in controls:
        checkpoint, denoise_input = make_input(studio, lambda _, control=control: (control,))
        outputs.append(unet.denoise(checkpoint, [denoise_input])[0])
    assert not torch.allclose(*outputs, atol=1e-3)
    assert studio.store.controlnet(studio.nets["shuffle"]).pools


def estimate_with_reference(studio, seed=2, **fields):
    """Estimate of an image with a reference; without fields, of an image without one."""
    checkpoint, denoise_input = make_input(studio, lambda _: ())
    latent, noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    kinds = {"weight": 1.0, "fidelity": 0.5, "attention": True, "adain": False}
    reference = Reference(latent, noise, **kinds | fields) if fields else None
    return unet.denoise(checkpoint, [replace(denoise_input, reference=reference)])[0]


def test_the_effect_of_a_reference_grows_with_its_weight(studio):
    alone = estimate_with_reference(studio)
    estimates = [estimate_with_reference(studio, weight=weight) for weight in (0.0, 0.5, 1.0)]
    distances = [float((estimate - alone).abs().mean()) for estimate in estimates]
    assert distances[0] < 1e-5
    assert distances[0] < distances[1] < distances[2]
    assert not torch.allclose(estimates[2], estimate_with_reference(studio, seed=3, weight=1.0), atol=1e-4)


def test_fidelity_reduces_the_effect_of_the_reference_on_the_negative_rows(studio):
    estimates = [estimate_with_reference(studio, fidelity=fidelity) for fidelity in (0.0, 0.5, 1.0)]
    whole, half = (estimates[2] - estimates[0]).abs().mean(), (estimates[1] - estimates[0]).abs().mean()
    assert 0.2 < half / whole < 0.8


def test_reference_rows_in_the_batch_equal_a_separate_reference_call(studio):
    """In the published method, a first call stores the reference's tokens, and a second one attends to them."""
    checkpoint, denoise_input = make_input(studio, lambda _: ())
    generator = torch.Generator().manual_seed(2)
    latent, noise = torch.randn(2, 4, 8, 8, generator=generator)
    reference = Reference(latent, noise, weight=1.0, fidelity=0.25, attention=True, adain=False)
    [found] = unet.denoise(checkpoint, [replace(denoise_input, reference=reference)])
    assert torch.allclose(found, two_calls(checkpoint, denoise_input, reference), atol=1e-3)


def two_calls(checkpoint, denoise_input, reference):
    attentions = [
        module.attn1 for module in checkpoint.unet.modules() if isinstance(module, BasicTransformerBlock)
    ]
    written = {}

    def write(module, arguments, output):
        written[module] = arguments[0]

    def read(module, arguments, output):
        both = torch.cat([arguments[0], written[module]], dim=1)
        attended = module.forward(arguments[0], encoder_hidden_states=both)
        return torch.stack([attended[0], 0.25 * output[1] + 0.75 * attended[1]])

    def call(x, hook):
        hooks = [module.register_forward_hook(hook) for module in attentions]
        texts = torch.stack(denoise_input.guidance.contexts(77))
        estimate = checkpoint.unet(x.repeat(2, 1, 1, 1) / 10**0.5, 500.0, texts).sample
        for each in hooks:
            each.remove()
        return estimate

    with torch.inference_mode():
        call(reference.latent + reference.noise * 3.0, write)
        positive, negative = call(denoise_input.x, read)
    return denoise_input.x - 3.0 * (negative + (positive - negative) * 7.0)


def test_adain_and_attention_have_different_effects_and_can_be_combined(studio):
    kinds = [(True, False), (False, True), (True, True)]
    estimates = [
        estimate_with_reference(studio, attention=attention, adain=adain) for attention, adain in kinds
    ]
    for one, other in itertools.combinations([*estimates, estimate_with_reference(studio)], 2):
        assert not torch.allclose(one, other, atol=1e-4)


def test_reference_hooks_are_removed_after_the_job(studio, plain):
    reference_unit = unit("", module="reference_adain+attn")
    assert difference(studio.draw(reference_unit), plain) > 0
    assert difference(studio.draw(), plain) == 0


def maps_of(listener) -> list[np.ndarray]:
    return [pixels_of(event) for event in listener.events if isinstance(event, ControlMap)]


def test_control_maps_are_sent_before_the_images_in_the_order_of_the_units(studio):
    listener, _end = studio.end(
        unit(module="canny", pixel_perfect=True), unit(module="invert"), unit(return_map=False)
    )
    canny, inverted = maps_of(listener)
    assert set(np.unique(canny)) == {0, 255}
    assert (inverted == 255 - np.asarray(Image.open(io.BytesIO(CIRCLE)))).all()
    kinds = [event.type for event in listener.events]
    assert kinds.index("control_map") < kinds.index("progress")


def test_a_unit_without_an_image_uses_the_init_image(studio):
    blue = png(Image.new("RGB", (64, 64), "blue"))
    options = {"task": "img2img", "init_images": (name_of(CIRCLE), name_of(blue)), "num_images": 2, "batch_size": 2,
               "input_images": (CIRCLE, blue)}  # fmt: skip
    own, _end = studio.end(unit(image=None), **options)
    given, _end = studio.end(unit(), **options)
    assert difference(own.pixels[0], given.pixels[0]) <= 1
    assert difference(own.pixels[1], given.pixels[1]) > 2


def test_the_inpaint_preprocessor_sets_masked_pixels_to_minus_1(studio):
    hint = prepared_unit(studio, unit(module="inpaint", mask=name_of(LEFT))).hint
    assert (hint[:, :, :32] == -1).all()
    assert (hint[:, :, 32:] >= 0).all()


def test_the_inpaint_preprocessor_without_a_mask_uses_the_whole_image(studio):
    whole, plain = prepared_unit(studio, unit(module="inpaint")), prepared_unit(studio, unit(module="none"))
    assert torch.equal(whole.hint, plain.hint)


def test_the_inpaint_preprocessor_of_an_inpainting_job_uses_the_mask_of_the_job(studio):
    job = {
        "task": "img2img",
        "init_images": (name_of(CIRCLE),),
        "inpaint": Inpaint(mask=name_of(LEFT), invert=True),
    }
    prepared = prepared_unit(studio, unit(module="inpaint_only", image=None), **job)
    assert prepared.module.name == "inpaint"
    assert (prepared.hint[:, :, 32:] == -1).all()


def test_the_mask_of_any_other_preprocessor_is_used_as_the_control_map(studio):
    sketch = prepared_unit(studio, unit(module="canny", mask=name_of(LEFT)))
    assert (sketch.map[:, :32] == 255).all()
    assert (sketch.map[:, 32:] == 0).all()


def test_the_hires_pass_has_a_control_map_of_its_own_size(studio):
    from gpu_runner.tasks.preparation.prepare import prepare

    run_request = studio.run_request(unit(module="canny"), hires=Hires(width=128, height=128))
    prepared = prepare(studio.store, run_request)
    [second] = prepared.plan.second.units_of(0)
    assert second.hint.shape == (3, 128, 128)
    sizes = [Image.open(io.BytesIO(data)).size for data in prepared.maps]
    assert sizes == [(128, 128), (64, 64)]


@pytest.mark.parametrize(
    ("control_unit", "message"),
    [
        (unit(module="nonsense"), "unknown preprocessor 'nonsense'"),
        (unit(module="mlsd"), "'mlsd' is not supported"),
        (unit(image=None), "image is required"),
        (unit(module="inpaint_only"), "needs a mask"),
    ],
)
def test_an_impossible_unit_is_a_bad_request_with_the_reason(studio, control_unit, message):
    _listener, end = studio.end(control_unit)
    assert end.code == "bad_request"
    assert message in end.message


def test_a_controlnet_of_another_family_is_rejected(studio):
    message = studio.end(unit("wide"))[1].message
    assert message.startswith(
        "wide is a ControlNet for another family of checkpoints: its cross_attention_dim is 96"
    )
