"""Variants of a checkpoint (VAE, tiling, embeddings, LoRAs), refiners, and all families, loaded from their file layouts."""

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from demo.architectures.random_models import write_family
from gpu_runner.engine.engine import Engine
from gpu_runner.models.conversion.ldm_keys import VAE_PREFIX, from_diffusers, vae_pairs
from gpu_runner.models.store import ModelStore
from gpu_runner.models.variant import LoraFile, Variant
from gpu_runner.networks.conditioning import TextEncodingOptions
from gpu_runner.networks.text.text_encoder import encode
from gpu_runner.protocol import Done, Failed, ModelFile
from gpu_runner.protocol.errors import ModelUnavailable
from gpu_runner.protocol.prompt.tokenizer import clip_tokenizer
from gpu_runner.protocol.request_parts.passes import Refiner
from tests.support.event_listener import Listener, order_of
from tests.support.lora_files import LINEAR, factors, kohya, noise
from tests.support.tiny_models import OVERRIDES, random_modules, single_file_tensors, write_checkpoint

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
def test_a_vae_of_any_layout_replaces_that_of_the_checkpoint(
    root, store, base, other_vae, tiny_checkpoint, layout
):
    file = vae_file(root, other_vae, layout)
    variant = store.get(tiny_checkpoint[1], Variant(vae=file))
    expected = other_vae.float().state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in variant.vae.state_dict().items())
    assert variant.unet is base.unet
    assert variant.unet_key == base.unet_key, "the same key, so that both are batched together"
    assert variant.vae_key != base.vae_key


def test_a_file_that_is_not_a_vae_is_rejected(root, store, tiny_checkpoint):
    save_file({"emb_params": torch.zeros(2, 64)}, root / "no-vae.safetensors")
    with pytest.raises(ModelUnavailable, match="is not a VAE"):
        store.get(tiny_checkpoint[1], Variant(vae=registered(root, "no-vae.safetensors")))


def test_tiling_makes_the_modules_periodic(store, base, tiny_checkpoint):
    tiled = store.get(tiny_checkpoint[1], Variant(tiling=True))
    latent = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    rolled = latent.roll(3, -1)
    decoded = tiled.vae.decode(latent).sample.roll(24, -1)
    assert torch.allclose(tiled.vae.decode(rolled).sample, decoded, atol=1e-4), (
        "decoding commutes with a cyclic shift"
    )
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


@pytest.mark.parametrize(
    "tensors", [{"emb_params": torch.zeros(2, 768)}, {"a": torch.zeros(1, 64), "b": torch.zeros(1, 64)}]
)
def test_an_embedding_that_cannot_be_used_is_left_out(root, store, tiny_checkpoint, tensors):
    """No client named it: the platform found its name in a prompt."""
    save_file(tensors, root / "odd.safetensors")
    variant = store.get(
        tiny_checkpoint[1], Variant(embeddings=(("odd", registered(root, "odd.safetensors")),))
    )
    assert not variant.embeddings


def test_a_missing_embedding_is_left_out(store, tiny_checkpoint):
    file = ModelFile(path="embeddings/gone.pt", sha256="0" * 64)
    assert not store.get(tiny_checkpoint[1], Variant(embeddings=(("gone", file),))).embeddings


def lora_with_embeddings(root, modules, **tensors):
    bundle = {f"bundle_emb.{name}": tensor for name, tensor in tensors.items()}
    save_file(kohya(modules) | bundle, root / "bundle.safetensors")
    return LoraFile(registered(root, "bundle.safetensors"), 0.0, 0.0)


def test_embeddings_inside_a_lora_are_used(root, store, tiny_checkpoint, tiny_modules):
    vectors = torch.randn(2, 64)
    bundle = {
        "my.plum.string_to_param.*": vectors,
        "pear.emb_params": vectors * 2,
        "wide.emb_params": torch.zeros(1, 768),
    }
    lora = lora_with_embeddings(root, tiny_modules, **bundle)
    found = store.get(tiny_checkpoint[1], Variant(loras=(lora,))).embeddings
    assert found.keys() == {"my.plum", "pear"}, "one of another width is left out"
    assert torch.equal(found["my.plum"].vectors[0], vectors)
    own = embedding_file(root, "a1111", vectors * 3)
    both = store.get(tiny_checkpoint[1], Variant(loras=(lora,), embeddings=(("pear", own),))).embeddings
    assert torch.equal(both["pear"].vectors[0], vectors * 3), "an embedding of the registry takes precedence"


@pytest.fixture(scope="module")
def families(root):
    """A tiny file of every family in its real layout."""
    for name in ("sd15", "sd2", "sdxl", "refiner"):
        write_family(name, root / f"{name}.safetensors", tiny=True)
    return {name: registered(root, f"{name}.safetensors") for name in ("sd15", "sd2", "sdxl", "refiner")}


@pytest.fixture
def draw(store):
    engine = Engine(store, torch.device("cpu"))
    engine.start()

    def draw(checkpoint, files=None, **fields):
        listener = Listener()
        run_request = order_of("job", checkpoint, models=files, num_inference_steps=2, **fields)
        engine.submit(run_request, listener)
        return listener.end(), listener

    yield draw
    engine.stop()


@pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl", "refiner"])
def test_every_family_generates_images(draw, store, families, name):
    end, listener = draw(families[name])
    assert isinstance(end, Done), end
    assert listener.pixels[0].shape == (64, 64, 3)
    assert store.get(families[name]).family == ("sdxl" if name == "refiner" else name)


def test_sdxl_concatenates_both_text_encoders_and_uses_the_pooled_projection(store, families):
    checkpoint = store.get(families["sdxl"])
    [encoding] = encode(checkpoint, ["a red circle"])
    widths = [encoder.config.hidden_size for encoder in checkpoint.text_encoders]
    assert encoding.context.shape == (77, sum(widths))
    assert encoding.pooled.shape == (widths[1],)
    ids = torch.full((1, 77), 0)
    tokens = clip_tokenizer().encode("a red circle")
    ids[0, : len(tokens) + 2] = torch.tensor([49406, *tokens, 49407])
    outputs = checkpoint.text_encoder_2(ids, output_hidden_states=True)
    assert torch.allclose(encoding.context[:, widths[0] :], outputs.hidden_states[-2][0], atol=1e-5)
    assert torch.allclose(encoding.pooled, outputs.text_embeds[0], atol=1e-5)


def test_the_refiner_replaces_the_checkpoint_at_switch_at(draw, families):
    files = {"checkpoint:refiner": families["refiner"]}
    plain = draw(families["sdxl"])[1].pixels[0]
    halfway = Refiner(checkpoint="refiner", switch_at=0.5)
    end, listener = draw(families["sdxl"], files, refiner=halfway)
    assert isinstance(end, Done), end
    assert (listener.pixels[0] != plain).any()
    never = draw(families["sdxl"], files, refiner=Refiner(checkpoint="refiner", switch_at=1.0))[1].pixels[0]
    assert (never == plain).all()


def test_weights_that_are_not_numbers_fail_only_their_own_job_by_name(
    root, draw, tiny_checkpoint, tiny_modules
):
    tensors = {name: tensor * float("nan") for name, tensor in kohya(tiny_modules).items()}
    save_file(tensors, root / "nan.safetensors")
    files = {"lora:nan": registered(root, "nan.safetensors")}
    end, _ = draw(tiny_checkpoint[1], files, loras=({"name": "nan"},))
    assert "contains values that are not numbers" in end.message


def test_weights_that_overflow_fail_only_their_own_job(root, draw, tiny_checkpoint, tiny_modules):
    tensors = {name: tensor * 1e30 for name, tensor in kohya(tiny_modules).items()}
    save_file(tensors, root / "nan.safetensors")
    files = {"lora:nan": registered(root, "nan.safetensors")}
    end, _ = draw(tiny_checkpoint[1], files, loras=({"name": "nan"},))
    assert isinstance(end, Failed)
    assert "NaN values" in end.message
    assert isinstance(draw(tiny_checkpoint[1])[0], Done)


def test_an_evicted_checkpoint_is_restored_from_ram(root, tiny_checkpoint, families):
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


def test_variants_are_evicted_with_their_checkpoint(root, tiny_checkpoint, tiny_modules, families):
    file = tiny_checkpoint[1]
    save_file(kohya(tiny_modules, (LINEAR,)), root / "evicted.safetensors")
    with_lora = Variant(loras=(LoraFile(registered(root, "evicted.safetensors"), 1.0, 1.0),))
    size = ModelStore(root, "cpu", torch.float32, 2**34).get(file).size_bytes
    store = ModelStore(root, "cpu", torch.float32, int(size * 1.2))
    variant = store.get(file, with_lora)
    assert store.get(file, with_lora).unet is variant.unet
    store.get(families["sd15"])
    assert store.size_bytes == store.loaded()[0].size_bytes


SDXL_LINEAR = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
FIRST_LAYER = "encoder.layers.0.mlp.fc1"


def test_an_sdxl_lora_changes_the_unet_and_both_text_encoders(root, store, families):
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
    variant = store.get(families["sdxl"], Variant(loras=(lora,)))
    found = [
        variant.unet.get_submodule(SDXL_LINEAR),
        variant.text_encoder.get_submodule(FIRST_LAYER),
        text_layer(variant.text_encoder_2),
    ]
    assert all(
        torch.allclose(module.weight, weight, atol=1e-5)
        for module, weight in zip(found, expected, strict=True)
    )


def text_layer(encoder):
    return next(module for name, module in encoder.named_modules() if name.endswith(FIRST_LAYER))


def test_an_sdxl_embedding_is_used_by_both_text_encoders(root, store, families):
    checkpoint = store.get(families["sdxl"])
    red = clip_tokenizer().encode("red")
    own = [encoder.get_input_embeddings().weight[red].detach() for encoder in checkpoint.text_encoders]
    save_file({"clip_l": own[0].clone(), "clip_g": own[1].clone()}, root / "xl-red.safetensors")
    file = registered(root, "xl-red.safetensors")
    variant = store.get(families["sdxl"], Variant(embeddings=(("zyx", file),)))
    [embedded], [expected], [plain] = (
        encode(model, [text], TextEncodingOptions(embeddings=tuple(model.embeddings.values())))
        for model, text in ((variant, "a zyx cat"), (checkpoint, "a red cat"), (checkpoint, "a zyx cat"))
    )
    assert torch.allclose(embedded.context, expected.context, atol=1e-5)
    assert torch.allclose(embedded.pooled, expected.pooled, atol=1e-5)
    assert not torch.allclose(embedded.context, plain.context, atol=1e-2)


FULL = "lora_unet_" + LINEAR.replace(".", "_")
ADAPTERS = {
    "lora": {"lora_down.weight": noise(2, 64), "lora_up.weight": noise(64, 2, seed=1)},
    "dora": {"lora_down.weight": noise(2, 64), "lora_up.weight": noise(64, 2), "dora_scale": torch.ones(64, 1)},
    "loha": {f"hada_w{n}_{f}": noise(*((64, 2) if f == "a" else (2, 64))) for n in (1, 2) for f in "ab"},
    "lokr": {"lokr_w1": noise(4, 4), "lokr_w2": noise(16, 16)},
    "oft": {"oft_blocks": noise(4, 16, 16), "alpha": torch.tensor(1.0)},
    "boft": {"oft_blocks": noise(3, 8, 8, 8)},
    "ia3": {"weight": noise(64), "on_input": torch.tensor(True)},
    "glora": {"a1.weight": noise(2, 64), "a2.weight": noise(64, 2), "b1.weight": noise(2, 64), "b2.weight": noise(64, 2)},
    "full": {"diff": noise(64, 64), "diff_b": noise(64)},
}  # fmt: skip


@pytest.mark.parametrize("kind", ADAPTERS)
def test_every_kind_of_adapter_changes_the_image(root, draw, tiny_checkpoint, kind):
    scale = 5  # the tiny network is insensitive
    tensors = {f"{FULL}.{name}": t * scale if t.ndim else t for name, t in ADAPTERS[kind].items()}
    save_file(tensors, root / "adapter.safetensors")
    files = {"lora:adapter": registered(root, "adapter.safetensors")}
    checkpoint, fields = tiny_checkpoint[1], {"prompt": "cat", "guidance_scale": 20.0}
    drawn = draw(checkpoint, files, loras=[{"name": "adapter"}], **fields)[1].pixels[0]
    assert (drawn != draw(checkpoint, **fields)[1].pixels[0]).any()


def test_an_embedding_inside_a_lora_acts_like_one_of_its_own(root, base, draw, tiny_checkpoint, tiny_modules):
    red = clip_tokenizer().encode("red")
    vectors = base.text_encoder.get_input_embeddings().weight[red].detach() * 3
    save_file({"emb_params": vectors.clone()}, root / "strong.safetensors")
    bundle = lora_with_embeddings(root, tiny_modules, **{"zyx.string_to_param.*": vectors.clone()}).file
    files = {"lora:bundle": bundle, "embedding:zyx": registered(root, "strong.safetensors")}
    checkpoint, fields = tiny_checkpoint[1], {"guidance_scale": 20.0, "prompt": "zyx"}
    lora = {"name": "bundle", "unet": 0.0, "text_encoder": 0.0}
    own = draw(checkpoint, files, embeddings=("zyx",), **fields)[1].pixels[0]
    bundled = draw(checkpoint, files, loras=[lora], **fields)[1].pixels[0]
    assert (bundled == own).all()
    assert (bundled != draw(checkpoint, **fields)[1].pixels[0]).any()


def test_a_bad_embedding_does_not_fail_the_job(root, draw, tiny_checkpoint):
    save_file({"a": torch.zeros(1, 64), "b": torch.zeros(1, 64)}, root / "bad.safetensors")
    files = {"embedding:cat": registered(root, "bad.safetensors")}
    drawn = draw(tiny_checkpoint[1], files, prompt="cat", embeddings=("cat",))[1].pixels[0]
    assert (drawn == draw(tiny_checkpoint[1], prompt="cat")[1].pixels[0]).all()


def test_a_checkpoint_without_vae_is_drawn_with_a_named_one(root, draw, tiny_checkpoint, tiny_modules):
    tensors = single_file_tensors(tiny_modules)
    bare = {name: t for name, t in tensors.items() if not name.startswith(VAE_PREFIX)}
    file = write_checkpoint(root, "checkpoints/bare.safetensors", bare)
    named = draw(file, {"vae:tiny": tiny_checkpoint[1]}, prompt="cat", vae="tiny")[1].pixels[0]
    assert (named == draw(tiny_checkpoint[1], prompt="cat")[1].pixels[0]).all()
    assert "has no VAE" in draw(file, prompt="cat")[0].message


def test_an_embedding_acts_where_a_prompt_contains_its_name(root, store, base, draw, tiny_checkpoint):
    red = clip_tokenizer().encode("red")
    vectors = (
        base.text_encoder.get_input_embeddings().weight[red].detach() * 3
    )  # stronger than the token itself
    save_file({"emb_params": vectors.clone()}, root / "strong.safetensors")
    files = {"embedding:zyx": registered(root, "strong.safetensors")}
    checkpoint, fields = tiny_checkpoint[1], {"guidance_scale": 20.0}
    embedded = draw(checkpoint, files, prompt="zyx", embeddings=("zyx",), **fields)[1].pixels[0]
    unknown = draw(checkpoint, prompt="zyx", **fields)[1].pixels[0]
    other = draw(checkpoint, files, prompt="cat", embeddings=("zyx",), **fields)[1].pixels[0]
    plain = draw(checkpoint, prompt="cat", **fields)[1].pixels[0]
    assert (embedded != unknown).any()
    assert (other == plain).all(), "no effect on prompts without its name"
    negative = draw(checkpoint, files, negative_prompt="zyx", prompt="cat", embeddings=("zyx",), **fields)
    assert (
        negative[1].pixels[0] != draw(checkpoint, prompt="cat", negative_prompt="zyx", **fields)[1].pixels[0]
    ).any()
