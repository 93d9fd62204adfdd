"""VAEs, tiling, embeddings, refiners and whole families: each loaded from its real layout, and each with its effect."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from demo.random_models import write_family
from gpu_runner.engine.engine import Engine
from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX, from_diffusers, vae_pairs
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.networks.text.tokenizer import clip_tokenizer
from gpu_runner.protocol import Done, Failed, ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.generation_request import Refiner
from tests.support.event_listener import Listener, order_of
from tests.support.lora_files import LINEAR, TEXT, factors, kohya
from tests.support.tiny_models import OVERRIDES, random_modules, write_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tiny_checkpoint):
    return tiny_checkpoint[0]


@pytest.fixture(scope="module")
def store(root):
    return ModelStore(root, "cpu", torch.float32, 2**34)


@pytest.fixture(scope="module")
def base(store, tiny_checkpoint):
    return store.get(tiny_checkpoint[1])


def registered(root, path):
    return ModelFile(path=path, sha256=hashlib.sha256((root / path).read_bytes()).hexdigest())


@pytest.fixture(scope="module")
def other_vae():
    return random_modules(seed=7).vae


OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


def vae_file(root, vae, layout):
    state = vae.state_dict()
    if layout == "old diffusers":
        for now, before in OLD_NAMES.items():
            state = {
                name.replace(f"attentions.0.{now}.", f"attentions.0.{before}."): t
                for name, t in state.items()
            }
    elif layout != "diffusers":
        state = from_diffusers(state, VAE_PREFIX if layout == "prefixed" else "", vae_pairs(vae.config))
    state = {name: tensor.contiguous() for name, tensor in state.items()}
    if layout == "pickled":
        torch.save({"state_dict": state, "atelier.config": json.dumps(OVERRIDES)}, root / "vae.pt")
        return registered(root, "vae.pt")
    return write_checkpoint(root, f"vae/{layout}.safetensors", state)


@pytest.mark.parametrize("layout", ["ldm", "prefixed", "diffusers", "old diffusers", "pickled"])
def test_a_vae_of_any_layout_takes_the_place_of_the_checkpoints_own(
    root, store, base, other_vae, tiny_checkpoint, layout
):
    file = vae_file(root, other_vae, layout)
    varied = store.get(tiny_checkpoint[1], Variant(vae=file))
    expected = other_vae.float().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in varied.vae.state_dict().items())
    assert varied.unet is base.unet
    assert varied.unet_key == base.unet_key, "so that both share the UNet's calls"
    assert varied.vae_key != base.vae_key


def test_a_file_that_is_no_vae_is_refused(root, store, tiny_checkpoint):
    save_file({"emb_params": torch.zeros(2, 64)}, root / "no-vae.safetensors")
    with pytest.raises(ModelUnavailable, match="is not a VAE"):
        store.get(tiny_checkpoint[1], Variant(vae=registered(root, "no-vae.safetensors")))


def test_tiled_pictures_go_on_beyond_their_edges(store, base, tiny_checkpoint):
    tiled = store.get(tiny_checkpoint[1], Variant(tiling=True))
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    rolled = latent.roll(3, -1)
    decoded = tiled.vae.decode(latent).sample.roll(24, -1)
    assert torch.allclose(tiled.vae.decode(rolled).sample, decoded, atol=1e-4), "no edge is special"
    assert not torch.allclose(
        base.vae.decode(rolled).sample, base.vae.decode(latent).sample.roll(24, -1), atol=1e-2
    )
    assert tiled.unet.conv_in.weight.data_ptr() == base.unet.conv_in.weight.data_ptr()


def embedding_file(root, layout, vectors):
    contents = {
        "a1111": {"emb_params": vectors},
        "diffusers": {"<odd>": vectors[0]},
        "pickled": {"string_to_token": {"*": 265}, "string_to_param": {"*": vectors}, "name": "odd"},
        "module": {"string_to_param": torch.nn.ParameterDict({"*": torch.nn.Parameter(vectors)})},
    }
    content = contents[layout]
    path = f"{layout}.{'pt' if layout in ('pickled', 'module') else 'safetensors'}"
    (torch.save if path.endswith(".pt") else save_file)(content, root / path)
    return registered(root, path)


@pytest.mark.parametrize("layout", ["a1111", "diffusers", "pickled", "module"])
def test_an_embedding_is_read_from_every_layout(root, store, tiny_checkpoint, layout):
    vectors = torch.randn(2, 64, generator=torch.Generator().manual_seed(1))
    file = embedding_file(root, layout, vectors)
    found = store.get(tiny_checkpoint[1], Variant(embeddings=(("odd", file),))).embeddings["odd"]
    assert torch.equal(found.vectors[0], vectors[:1] if layout == "diffusers" else vectors)
    assert found.key == file.sha256


def test_an_embedding_of_another_width_is_refused(root, store, tiny_checkpoint):
    file = embedding_file(root, "a1111", torch.zeros(2, 768))
    with pytest.raises(ModelUnavailable, match=r"widths \[768\], and these have \[64\]"):
        store.get(tiny_checkpoint[1], Variant(embeddings=(("odd", file),)))


@pytest.fixture(scope="module")
def families(root):
    """A file of every family, tiny but in its real layout."""
    for name in ("sd15", "sd2", "sdxl", "refiner"):
        write_family(name, root / f"{name}.safetensors", tiny=True)
    return {name: registered(root, f"{name}.safetensors") for name in ("sd15", "sd2", "sdxl", "refiner")}


@pytest.fixture
def draw(store):
    engine = Engine(store, torch.device("cpu"))
    engine.start()

    def draw(checkpoint, files=None, **fields):
        listener = Listener()
        order = order_of("job", checkpoint, models=files, num_inference_steps=2, **fields)
        engine.submit(order, listener)
        return listener.end(), listener

    yield draw
    engine.stop()


@pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl", "refiner"])
def test_every_family_draws(draw, store, families, name):
    end, listener = draw(families[name])
    assert isinstance(end, Done), end
    assert listener.pixels[0].shape == (64, 64, 3)
    assert store.get(families[name]).family == ("sdxl" if name == "refiner" else name)


def test_sdxl_reads_both_text_encoders_and_the_whole_text(store, families):
    checkpoint = store.get(families["sdxl"])
    [told] = encode(checkpoint, ["a red circle"])
    widths = [encoder.config.hidden_size for encoder in checkpoint.text_encoders]
    assert told.context.shape == (77, sum(widths))
    assert told.pooled.shape == (widths[1],)
    ids = torch.full((1, 77), 0)
    words = clip_tokenizer().encode("a red circle")
    ids[0, : len(words) + 2] = torch.tensor([49406, *words, 49407])
    outputs = checkpoint.text_encoder_2(ids, output_hidden_states=True)
    assert torch.allclose(told.context[:, widths[0] :], outputs.hidden_states[-2][0], atol=1e-5)
    assert torch.allclose(told.pooled, outputs.text_embeds[0], atol=1e-5)


def test_the_refiner_takes_over_on_the_way(draw, families):
    refined = {"checkpoint:finer": families["refiner"]}
    plain = draw(families["sdxl"])[1].pixels[0]
    halfway = Refiner(checkpoint="finer", switch_at=0.5)
    end, listener = draw(families["sdxl"], refined, refiner=halfway)
    assert isinstance(end, Done), end
    assert (listener.pixels[0] != plain).any()
    never = draw(families["sdxl"], refined, refiner=Refiner(checkpoint="finer", switch_at=1.0))[1].pixels[0]
    assert (never == plain).all()


def test_weights_that_are_not_numbers_fail_their_own_job_only(root, draw, tiny_checkpoint, tiny_modules):
    tensors = {name: tensor * float("nan") for name, tensor in kohya(tiny_modules).items()}
    save_file(tensors, root / "nan.safetensors")
    files = {"lora:nan": registered(root, "nan.safetensors")}
    end, _ = draw(tiny_checkpoint[1], files, loras=({"name": "nan"},))
    assert isinstance(end, Failed)
    assert "NaN values" in end.message
    assert isinstance(draw(tiny_checkpoint[1])[0], Done)


def test_what_the_device_has_no_room_for_comes_back_from_ram(root, tiny_checkpoint, families):
    file = tiny_checkpoint[1]
    size = ModelStore(root, "cpu", torch.float32, 2**34).get(file).size_bytes
    store = ModelStore(root, "cpu", torch.float32, int(size * 1.2), 2**34)
    first = store.get(file)
    store.get(families["sd15"])
    assert [model.path for model in store.loaded()] == ["sd15.safetensors"]
    (root / file.path).rename(root / "elsewhere")
    try:
        again = store.get(file)
    finally:
        (root / "elsewhere").rename(root / file.path)
    assert again is not first
    assert torch.equal(again.unet.conv_in.weight, first.unet.conv_in.weight)


def test_variations_leave_with_their_checkpoint(root, tiny_checkpoint, tiny_modules, families):
    file = tiny_checkpoint[1]
    save_file(kohya(tiny_modules, (LINEAR,)), root / "leaving.safetensors")
    variation = Variant(loras=(LoraFile(registered(root, "leaving.safetensors"), 1.0, 1.0),))
    size = ModelStore(root, "cpu", torch.float32, 2**34).get(file).size_bytes
    store = ModelStore(root, "cpu", torch.float32, int(size * 1.2))
    varied = store.get(file, variation)
    assert store.get(file, variation).unet is varied.unet
    store.get(families["sd15"])
    assert store._shelf.size_bytes == store.loaded()[0].size_bytes


def test_a_variation_is_drawn_the_same_alone_and_among_strangers(
    root, store, tiny_checkpoint, tiny_modules, other_vae
):
    for name in ("one", "two"):
        save_file(kohya(tiny_modules, seed=len(name), text_paths=(TEXT,)), root / f"{name}.safetensors")
    models = {f"lora:{name}": registered(root, f"{name}.safetensors") for name in ("one", "two")}
    models["vae:other"] = vae_file(root, other_vae, "ldm")
    wanted = [
        {"loras": ({"name": "one", "unet": 3.0},)},
        {"loras": ({"name": "two", "unet": 3.0}, {"name": "one"})},
        {"vae": "other"},
        {"tiling": True},
        {},
    ]

    def begin(engine, number):
        listener = Listener()
        order = order_of(f"job-{number}", tiny_checkpoint[1], models=models, seed=1, **wanted[number])
        engine.submit(order, listener)
        return listener

    engine = Engine(store, torch.device("cpu"))
    together = [begin(engine, number) for number in range(len(wanted))]
    engine.start()
    crowd = [listener.pixels[0] for listener in together if isinstance(listener.end(), Done)]
    alone = []
    for number in range(len(wanted)):
        listener = begin(engine, number)
        listener.end()
        alone.append(listener.pixels[0])
    engine.stop()
    assert all(abs(one - other).max() <= 1 for one, other in zip(alone, crowd, strict=True))
    assert all(abs(picture - alone[-1]).max() > 1 for picture in alone[:-1]), "each has its effect"


SDXL_LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
FIRST_LAYER = "encoder.layers.0.mlp.fc1"


def test_a_lora_of_sdxl_changes_the_unet_and_each_of_the_text_encoders(root, store, families):
    base = store.get(families["sdxl"])
    modules = {
        "lora_unet_" + SDXL_LINEAR: base.unet.get_submodule(SDXL_LINEAR),
        "lora_te1_text_model_" + FIRST_LAYER: base.text_encoder.get_submodule(FIRST_LAYER),
        "lora_te2_text_model_" + FIRST_LAYER: text_layer(base.text_encoder_2),
    }
    tensors, expected = {}, []
    for seed, (name, module) in enumerate(modules.items()):
        down, up = factors(module, seed=seed)
        name = name.replace(".", "_")
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up}
        expected.append(module.weight + up @ down)
    save_file(tensors, root / "sdxl-lora.safetensors")
    lora = LoraFile(registered(root, "sdxl-lora.safetensors"), 1.0, 1.0)
    varied = store.get(families["sdxl"], Variant(loras=(lora,)))
    found = [
        varied.unet.get_submodule(SDXL_LINEAR),
        varied.text_encoder.get_submodule(FIRST_LAYER),
        text_layer(varied.text_encoder_2),
    ]
    assert all(
        torch.allclose(module.weight, weight, atol=1e-5)
        for module, weight in zip(found, expected, strict=True)
    )


def text_layer(encoder):
    return next(module for name, module in encoder.named_modules() if name.endswith(FIRST_LAYER))


def test_an_embedding_of_sdxl_speaks_to_both_text_encoders(root, store, families):
    checkpoint = store.get(families["sdxl"])
    red = clip_tokenizer().encode("red")
    own = [encoder.get_input_embeddings().weight[red].detach() for encoder in checkpoint.text_encoders]
    save_file({"clip_l": own[0].clone(), "clip_g": own[1].clone()}, root / "xl-red.safetensors")
    file = registered(root, "xl-red.safetensors")
    varied = store.get(families["sdxl"], Variant(embeddings=(("zyx", file),)))
    [said], [meant], [unsaid] = (
        encode(model, [text], TextEncodingOptions(embeddings=tuple(model.embeddings.values())))
        for model, text in ((varied, "a zyx cat"), (checkpoint, "a red cat"), (checkpoint, "a zyx cat"))
    )
    assert torch.allclose(said.context, meant.context, atol=1e-5)
    assert torch.allclose(said.pooled, meant.pooled, atol=1e-5)
    assert not torch.allclose(said.context, unsaid.context, atol=1e-2)


def test_the_engine_draws_what_an_embedding_stands_for(root, store, base, draw, tiny_checkpoint):
    red = clip_tokenizer().encode("red")
    vectors = base.text_encoder.get_input_embeddings().weight[red].detach() * 3  # louder than the word itself
    save_file({"emb_params": vectors.clone()}, root / "loud.safetensors")
    files = {"embedding:zyx": registered(root, "loud.safetensors")}
    checkpoint, asked = tiny_checkpoint[1], {"guidance_scale": 20.0}
    said = draw(checkpoint, files, prompt="zyx", embeddings=("zyx",), **asked)[1].pixels[0]
    unknown = draw(checkpoint, prompt="zyx", **asked)[1].pixels[0]
    other = draw(checkpoint, files, prompt="cat", embeddings=("zyx",), **asked)[1].pixels[0]
    plain = draw(checkpoint, prompt="cat", **asked)[1].pixels[0]
    assert (said != unknown).any()
    assert (other == plain).all(), "it acts where the prompt says its name, and nowhere else"
    negative = draw(checkpoint, files, negative_prompt="zyx", prompt="cat", embeddings=("zyx",), **asked)
    assert (
        negative[1].pixels[0] != draw(checkpoint, prompt="cat", negative_prompt="zyx", **asked)[1].pixels[0]
    ).any()
