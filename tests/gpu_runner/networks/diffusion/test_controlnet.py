"""ControlNets at work: what they add, to whom, when, and how much."""

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
from gpu_runner.protocol import ControlMap, Done, GenerationRequest, Picture, RunRequest
from gpu_runner.protocol.generation_request import ControlUnit, Hires, Inpaint
from gpu_runner.protocol.schedules.sigmas import NoiseLevels
from gpu_runner.tasks.control_schedule import ControlSchedule, scales
from gpu_runner.tasks.denoising_loop import DenoiseContext, SamplingConfig
from tests.support.event_listener import Listener, pixels_of
from tests.support.tiny_controlnet import ldm_tensors, random_controlnet, write_tensors

pytestmark = pytest.mark.slow

STEPS = 3


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def circle(size=(64, 64), box=(16, 16, 48, 48)) -> bytes:
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).ellipse(box, fill="red")
    return png(picture)


CIRCLE = circle()
LEFT = png(Image.fromarray(np.repeat([[255] * 32 + [0] * 32], 64, axis=0).astype(np.uint8)))


class Atelier:
    """An engine with the tiny checkpoint and tiny ControlNets; ``draw`` waits for the end."""

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

    def order(self, *units, pictures=(CIRCLE, LEFT), **fields):
        inputs = {hashlib.sha256(data).hexdigest(): base64.b64encode(data).decode() for data in pictures}
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
        self.engine.submit(self.order(*units, **fields), listener)
        return listener

    def end(self, *units, **fields):
        listener = self.begin(*units, **fields)
        return listener, listener.end()

    def draw(self, *units, **fields):
        listener, end = self.end(*units, **fields)
        assert isinstance(end, Done), end
        return listener.pixels[0]


def name_of(data: bytes) -> Picture:
    return Picture(sha256=hashlib.sha256(data).hexdigest())


def unit(model="one", image=CIRCLE, **fields) -> ControlUnit:
    return ControlUnit(**{"model": model, "image": image and name_of(image)} | fields)


@pytest.fixture(scope="module")
def atelier(tiny_checkpoint):
    atelier = Atelier(*tiny_checkpoint)
    yield atelier
    atelier.engine.stop()


@pytest.fixture(scope="module")
def plain(atelier):
    return atelier.draw()


def difference(one, other) -> int:
    return int(np.abs(one - other).max())


def test_a_controlnet_that_adds_zeros_changes_no_byte(atelier, plain):
    assert difference(atelier.draw(unit("zero")), plain) == 0


def test_one_that_was_trained_changes_the_picture_with_its_hint(atelier, plain):
    pictures = [atelier.draw(unit(image=image)) for image in (CIRCLE, LEFT)]
    assert difference(pictures[0], plain) > 20
    assert difference(*pictures) > 5


def test_weight_0_is_no_control_and_more_weight_is_more_control(atelier, plain):
    pictures = [atelier.draw(unit(weight=weight)) for weight in (0, 0.2, 1)]
    distances = [np.abs(picture - plain).mean() for picture in pictures]
    assert distances[0] == 0
    assert distances == sorted(distances)


def test_units_add_up(atelier):
    whole = atelier.draw(unit(weight=0.5))
    halves = atelier.draw(unit(weight=0.25), unit(weight=0.25))
    other = atelier.draw(unit(weight=0.25), unit("two", weight=0.25))
    assert difference(whole, halves) <= 1
    assert difference(whole, other) > 5


def questions_of(atelier, pushes_of):
    checkpoint = atelier.store.get(atelier.checkpoint)
    generator = torch.Generator().manual_seed(1)
    texts = torch.randn(2, 77, 64, generator=generator)
    x = torch.randn(4, 8, 8, generator=generator) * 3
    guidance = Guidance(((Conditioning(texts[0]), 1.0),), Conditioning(texts[1]), 7.0)
    question = DenoiseInput(x, 3.0, 500.0, guidance, pushes=pushes_of(checkpoint))
    return checkpoint, question


def push_of(atelier, name="one", **fields):
    model = atelier.store.controlnet(atelier.nets[name])
    hint = torch.linspace(0, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    layers = len(model.net.controlnet_down_blocks) + 1
    with torch.inference_mode():
        return ControlNetInput(model, model.embedding(hint)[0], (1.0,) * layers, **fields), hint


def test_the_estimate_is_that_of_diffusers(atelier):
    push, hint = push_of(atelier)
    checkpoint, question = questions_of(atelier, lambda _: (push,))
    net = random_controlnet(1).float()
    with torch.inference_mode():
        x = (question.x / 10**0.5).repeat(2, 1, 1, 1)
        texts = torch.stack(question.guidance.contexts(77))
        down, middle = net(x, 500.0, texts, hint.repeat(2, 1, 1, 1), return_dict=False)
        positive, negative = checkpoint.unet(
            x, 500.0, texts, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
    expected = question.x - 3.0 * (negative + (positive - negative) * 7.0)
    [found] = unet.denoise(checkpoint, [question])
    assert torch.allclose(found, expected, atol=1e-3)


def test_one_of_a_call_has_no_share_in_the_others_control(atelier):
    push, _hint = push_of(atelier)
    other, _hint = push_of(atelier, "two")
    checkpoint, free = questions_of(atelier, lambda _: ())
    _, controlled = questions_of(atelier, lambda _: (push,))
    _, twice = questions_of(atelier, lambda _: (other, push))
    alone = [unet.denoise(checkpoint, [question])[0] for question in (free, controlled, twice)]
    together = unet.denoise(checkpoint, [free, controlled, twice])
    for one, another in zip(alone, together, strict=True):
        assert torch.allclose(one, another, atol=1e-4)
    assert not torch.allclose(alone[1], alone[2], atol=1e-2)


def test_a_region_keeps_the_residuals_inside_of_it(atelier, monkeypatch):
    region = torch.zeros(1, 8, 8)
    region[:, :, :4] = 1
    push, _hint = push_of(atelier, region=region)
    checkpoint, question = questions_of(atelier, lambda _: (push,))
    seen = {}
    forward = checkpoint.unet.forward
    monkeypatch.setattr(
        checkpoint.unet, "forward", lambda *args, **named: seen.update(named) or forward(*args, **named)
    )
    unet.denoise(checkpoint, [question])
    first = seen["down_block_additional_residuals"][0]
    assert first[..., :4].abs().min() > 0
    assert first[..., 4:].abs().max() == 0


def test_control_mode_leaves_the_negative_rows_alone(atelier, monkeypatch):
    push, _hint = push_of(atelier, unconditioned=False)
    checkpoint, question = questions_of(atelier, lambda _: (push,))
    seen = {}
    forward = checkpoint.unet.forward
    monkeypatch.setattr(
        checkpoint.unet, "forward", lambda *args, **named: seen.update(named) or forward(*args, **named)
    )
    unet.denoise(checkpoint, [question])
    for residual in (*seen["down_block_additional_residuals"], seen["mid_block_additional_residual"]):
        assert residual[0].abs().max() > 0
        assert residual[1].abs().max() == 0


def ready(atelier, asked, **fields):
    """The unit as the engine has it before its first step."""
    from gpu_runner.tasks.preparation.prepare import prepare

    return prepare(atelier.store, atelier.order(asked, **fields)).plan.first.units_of(0)[0]


def test_the_other_two_modes_fade_towards_the_first_layers(atelier):
    model = atelier.store.controlnet(atelier.nets["one"])
    weights = {
        mode: scales(ready(atelier, unit(weight=0.5, control_mode=mode)), model)
        for mode in ("balanced", "prompt", "control")
    }
    layers = len(weights["balanced"])
    assert set(weights["balanced"]) == {0.5}
    assert weights["prompt"] == weights["control"]
    assert weights["prompt"] == tuple(0.5 * 0.825 ** (layers - 1 - i) for i in range(layers))


def test_layers_can_have_weights_of_their_own(atelier, plain):
    layers = len(atelier.store.controlnet(atelier.nets["one"]).net.controlnet_down_blocks) + 1
    assert difference(atelier.draw(unit(layer_weights=(0,) * layers)), plain) == 0
    assert difference(atelier.draw(unit(layer_weights=(1,) * layers)), atelier.draw(unit())) <= 1
    assert "needs" in atelier.end(unit(layer_weights=(1, 1)))[1].message


@pytest.mark.parametrize(
    ("window", "acting"),
    [((0, 1), range(20)), ((0, 0.5), range(11)), ((0.5, 1), range(10, 20)), ((0.3, 0.4), (6, 7, 8))],
)
def test_a_window_is_a_share_of_the_steps(atelier, window, acting):
    push, _hint = push_of(atelier)
    checkpoint, question = questions_of(atelier, lambda _: ())
    request = GenerationRequest(width=64, height=64, num_inference_steps=20)
    way = SamplingConfig.of(request, NoiseLevels(checkpoint.alphas_cumprod))
    direction = SimpleNamespace(at=lambda call: question.guidance)
    script = DenoiseContext(checkpoint, direction, steerings=(ControlSchedule(push, *window),))
    asks = [script.ask(way, question.x, 3.0, call) for call in range(20)]
    assert [call for call, ask in enumerate(asks) if ask.question.pushes] == list(acting)


STRANGERS = [
    ((), {"sampler": "Heun", "num_inference_steps": 2}),
    ((unit("two", control_mode="control"),), {"guidance_scale": 1.0, "num_inference_steps": 2}),
    ((unit(image=LEFT, guidance_end=0.4), unit("two", region=name_of(LEFT))), {"sampler": "Euler a"}),
    ((unit("shuffle", control_mode="prompt", weight=0.7),), {"prompt": "long " * 90}),
]


def test_a_picture_alone_and_among_strangers_with_other_controls_is_the_same(atelier):
    cases = [((unit(guidance_start=0.3),), {}), *STRANGERS]
    alone = [atelier.draw(*units, **fields) for units, fields in cases]
    company = [atelier.begin(*units, **fields) for units, fields in cases]
    for one, job in zip(alone, company, strict=True):
        assert isinstance(job.end(), Done)
        assert difference(one, job.pixels[0]) <= 1


def test_one_that_pools_forgets_where_things_are(atelier):
    pushes = [push_of(atelier, name)[0] for name in ("shuffle", "one")]
    outputs = []
    for push in pushes:
        checkpoint, question = questions_of(atelier, lambda _, push=push: (push,))
        outputs.append(unet.denoise(checkpoint, [question])[0])
    assert not torch.allclose(*outputs, atol=1e-3)
    assert atelier.store.controlnet(atelier.nets["shuffle"]).pools


def looking_at(atelier, seed=2, **fields):
    """The estimate of a picture that looks at another one; without fields, at none."""
    checkpoint, question = questions_of(atelier, lambda _: ())
    latent, noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    kinds = {"weight": 1.0, "fidelity": 0.5, "attention": True, "adain": False}
    reference = Reference(latent, noise, **kinds | fields) if fields else None
    return unet.denoise(checkpoint, [replace(question, reference=reference)])[0]


def test_a_reference_is_looked_at_and_more_weight_is_a_longer_look(atelier):
    alone = looking_at(atelier)
    looks = [looking_at(atelier, weight=weight) for weight in (0.0, 0.5, 1.0)]
    distances = [float((look - alone).abs().mean()) for look in looks]
    assert distances[0] < 1e-5
    assert distances[0] < distances[1] < distances[2]
    assert not torch.allclose(looks[2], looking_at(atelier, seed=3, weight=1.0), atol=1e-4)


def test_fidelity_keeps_it_from_the_negative_text(atelier):
    looks = [looking_at(atelier, fidelity=fidelity) for fidelity in (0.0, 0.5, 1.0)]
    whole, half = (looks[2] - looks[0]).abs().mean(), (looks[1] - looks[0]).abs().mean()
    assert 0.2 < half / whole < 0.8


def test_the_references_rows_are_those_of_two_calls(atelier):
    """As the published method has it: one call writes the guest's tokens, a second one reads them."""
    checkpoint, question = questions_of(atelier, lambda _: ())
    generator = torch.Generator().manual_seed(2)
    latent, noise = torch.randn(2, 4, 8, 8, generator=generator)
    reference = Reference(latent, noise, weight=1.0, fidelity=0.25, attention=True, adain=False)
    [found] = unet.denoise(checkpoint, [replace(question, reference=reference)])
    assert torch.allclose(found, two_calls(checkpoint, question, reference), atol=1e-3)


def two_calls(checkpoint, question, reference):
    attentions = [
        module.attn1 for module in checkpoint.unet.modules() if isinstance(module, BasicTransformerBlock)
    ]
    written = {}

    def write(module, arguments, output):
        written[module] = arguments[0]

    def read(module, arguments, output):
        both = torch.cat([arguments[0], written[module]], dim=1)
        looking = module.forward(arguments[0], encoder_hidden_states=both)
        return torch.stack([looking[0], 0.25 * output[1] + 0.75 * looking[1]])

    def call(x, hook):
        hooks = [module.register_forward_hook(hook) for module in attentions]
        texts = torch.stack(question.guidance.contexts(77))
        estimate = checkpoint.unet(x.repeat(2, 1, 1, 1) / 10**0.5, 500.0, texts).sample
        for each in hooks:
            each.remove()
        return estimate

    with torch.inference_mode():
        call(reference.latent + reference.noise * 3.0, write)
        positive, negative = call(question.x, read)
    return question.x - 3.0 * (negative + (positive - negative) * 7.0)


def test_adain_is_another_way_of_looking_and_can_be_added(atelier):
    ways = [(True, False), (False, True), (True, True)]
    looks = [looking_at(atelier, attention=attention, adain=adain) for attention, adain in ways]
    for one, other in itertools.combinations([*looks, looking_at(atelier)], 2):
        assert not torch.allclose(one, other, atol=1e-4)


def test_one_who_looks_changes_nothing_for_the_others_and_leaves_no_trace(atelier, plain):
    looking = unit("", module="reference_adain+attn")
    alone = atelier.draw(looking)
    jobs = [atelier.begin(), atelier.begin(looking)]
    for job, before in zip(jobs, (plain, alone), strict=True):
        assert isinstance(job.end(), Done)
        assert difference(job.pixels[0], before) <= 1
    assert difference(atelier.draw(), plain) == 0


def maps_of(listener) -> list[np.ndarray]:
    return [pixels_of(event) for event in listener.events if isinstance(event, ControlMap)]


def test_the_maps_come_before_the_pictures_in_the_units_order(atelier):
    listener, _end = atelier.end(
        unit(module="canny", pixel_perfect=True), unit(module="invert"), unit(return_map=False)
    )
    canny, inverted = maps_of(listener)
    assert set(np.unique(canny)) == {0, 255}
    assert (inverted == 255 - np.asarray(Image.open(io.BytesIO(CIRCLE)))).all()
    kinds = [event.type for event in listener.events]
    assert kinds.index("control_map") < kinds.index("progress")


def test_without_a_picture_of_its_own_a_unit_reads_the_init_image(atelier):
    blue = png(Image.new("RGB", (64, 64), "blue"))
    options = {"task": "img2img", "init_images": (name_of(CIRCLE), name_of(blue)), "num_images": 2, "batch_size": 2,
               "pictures": (CIRCLE, blue)}  # fmt: skip
    own, _end = atelier.end(unit(image=None), **options)
    given, _end = atelier.end(unit(), **options)
    assert difference(own.pixels[0], given.pixels[0]) <= 1
    assert difference(own.pixels[1], given.pixels[1]) > 2


def test_an_inpainting_unit_hides_what_is_masked(atelier):
    hint = ready(atelier, unit(module="inpaint", mask=name_of(LEFT))).hint
    assert (hint[:, :, :32] == -1).all()
    assert (hint[:, :, 32:] >= 0).all()


def test_harmonious_inpainting_without_a_mask_is_shown_the_whole_picture(atelier):
    whole, plain = ready(atelier, unit(module="inpaint")), ready(atelier, unit(module="none"))
    assert torch.equal(whole.hint, plain.hint)


def test_in_an_inpainting_job_it_takes_the_jobs_mask(atelier):
    job = {
        "task": "img2img",
        "init_images": (name_of(CIRCLE),),
        "inpaint": Inpaint(mask=name_of(LEFT), invert=True),
    }
    ready_unit = ready(atelier, unit(module="inpaint_only", image=None), **job)
    assert ready_unit.module.name == "inpaint"
    assert (ready_unit.hint[:, :, 32:] == -1).all()


def test_the_mask_of_another_module_is_the_map_itself(atelier):
    sketch = ready(atelier, unit(module="canny", mask=name_of(LEFT)))
    assert (sketch.map[:, :32] == 255).all()
    assert (sketch.map[:, 32:] == 0).all()


def test_the_high_resolution_pass_has_a_map_of_its_own_size(atelier):
    from gpu_runner.tasks.preparation.prepare import prepare

    order = atelier.order(unit(module="canny"), hires=Hires(width=128, height=128))
    prepared = prepare(atelier.store, order)
    [second] = prepared.plan.second.units_of(0)
    assert second.hint.shape == (3, 128, 128)
    sizes = [Image.open(io.BytesIO(data)).size for data in prepared.maps]
    assert sizes == [(128, 128), (64, 64)]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (unit(module="nonsense"), "no preprocessor 'nonsense'"),
        (unit(module="openpose"), "'openpose' is not supported"),
        (unit(image=None), "no picture"),
        (unit(module="inpaint_only"), "needs a mask"),
    ],
)
def test_a_unit_that_cannot_be_done_is_an_error_that_says_why(atelier, asked, words):
    _listener, end = atelier.end(asked)
    assert end.code == "bad_request"
    assert words in end.message


def test_a_controlnet_of_another_family_is_refused(atelier):
    assert atelier.end(unit("wide"))[1].message == "wide is a ControlNet for another family of checkpoints"
