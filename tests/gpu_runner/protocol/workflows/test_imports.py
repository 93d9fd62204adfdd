"""Import of ComfyUI workflows: proposed slots, the editor's format, and files that are none."""

import copy
import json

import pytest

from console.registry.workflows import import_notes
from gpu_runner.protocol.workflows import reasons, slots
from gpu_runner.protocol.workflows.imports import notes
from gpu_runner.protocol.workflows.imports.documents import NoWorkflow, read_document
from gpu_runner.protocol.workflows.imports.editor_format import NotConvertible, converted
from gpu_runner.protocol.workflows.imports.slot_proposal import proposed
from jobs.admission.workflows import reasons as workflow_reasons
from tests.support.template_exports import EXPORTS, SD15, node

EXPECTED = {
    "flux": {
        "prompt": "6.text", "seed": "25.noise_seed", "num_inference_steps": "17.steps", "guidance_scale": "26.guidance",
        "width": "27.width", "height": "27.height", "sampler": "16.sampler_name", "scheduler": "17.scheduler",
        "loras": ["4:0", "11:0"], "filename_prefix": "9.filename_prefix",
    },
    "sd15": {
        "prompt": "6.text", "negative_prompt": "7.text", "checkpoint": "4.ckpt_name", "seed": "3.seed",
        "num_inference_steps": "3.steps", "guidance_scale": "3.cfg", "loras": ["4:0", "4:1"], "vae": "4:2",
        "controls": ["3.positive", "3.negative"], "width": "5.width",
    },
    "sdxl_refiner": {
        "prompt": ["6.text", "15.text"], "negative_prompt": ["7.text", "16.text"], "guidance_scale": ["10.cfg", "11.cfg"],
        "num_inference_steps": None, "checkpoint": None, "loras": None,
    },
    "qwen_image": {"prompt": "6.text", "negative_prompt": "7.text", "guidance_scale": "3.cfg", "width": "58.width"},
    "qwen_edit": {"prompt": "111.prompt", "negative_prompt": "110.prompt", "images[0]": "78.image", "init_images": None, "width": None},
    "wan_i2v": {
        "prompt": "6.text", "negative_prompt": "7.text", "init_images": "52.image", "width": "50.width",
        "strength": None, "filename_prefix": "28.filename_prefix", "video.frames": "50.length", "video.fps": "28.fps",
    },
    "upscale": {"init_images": "1.image", "prompt": None, "seed": None, "filename_prefix": "9.filename_prefix"},
    "z_image": {"prompt": "27.text", "negative_prompt": None, "num_inference_steps": "3.steps"},
    "inpaint": {"init_images": "20.image", "inpaint.mask": "21.image", "strength": "3.denoise", "width": None},
    "flux2_subgraph": {
        "prompt": "68:2.value", "width": "68:1.value", "seed": "68:25.noise_seed", "guidance_scale": "68:26.guidance",
        "num_inference_steps": "68:48.steps", "filename_prefix": "70.filename_prefix",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", EXPORTS)
def test_export_gets_the_slots_of_its_graph(name):
    proposal = proposed(read_document(json.dumps({"prompt": EXPORTS[name]})))
    slots.read(name, proposal.graph, proposal.slots, proposal.if_asked, proposal.output)
    assert {slot: proposal.slots.get(slot) for slot in EXPECTED[name]} == EXPECTED[name]
    assert "seed" not in proposal.if_asked


def test_what_the_proposal_leaves_out_is_told():
    assert "start_at_step" in " ".join(map(str, proposed(EXPORTS["sdxl_refiner"]).notes))
    assert "replaced by SaveImage" in " ".join(map(str, proposed(EXPORTS["flux2_subgraph"]).notes))


def test_images_of_an_edit_get_slots_in_the_order_of_its_inputs():
    graph = copy.deepcopy(EXPORTS["qwen_edit"])
    graph |= {key: node("LoadImage", image=f"{key}.png") for key in ("10", "11")}
    graph["12"] = node("ImageScaleToTotalPixels", image=["10", 0], upscale_method="lanczos", megapixels=1.0)
    for encoder in ("111", "110"):
        graph[encoder]["inputs"] |= {"image2": ["12", 0], "image3": ["11", 0]}
    proposal = proposed(graph)
    assert {slot: place for slot, place in proposal.slots.items() if slot.startswith("images")} == {
        "images[0]": "78.image", "images[1]": "10.image", "images[2]": "11.image",
    }  # fmt: skip
    assert proposal.if_asked[-2:] == ["images[1]", "images[2]"], "the encoder draws without them"
    slots.read("edit", proposal.graph, proposal.slots, proposal.if_asked)


def test_further_nodes_that_save_are_extras():
    graph = EXPORTS["sd15"] | {"20": node("SaveImage", images=["8", 0], filename_prefix="copy")}
    proposal = proposed(graph)
    assert (proposal.slots["filename_prefix"], proposal.slots["extras"]) == (
        "9.filename_prefix",
        "20.filename_prefix",
    )


def test_every_note_and_reason_is_marked_for_translation():
    assert set(import_notes.MESSAGES) == set(notes.MESSAGES)
    assert set(workflow_reasons.MESSAGES) == set(reasons.MESSAGES)


NODES = {
    "CheckpointLoaderSimple": {"ckpt_name": [["a.safetensors"], {}]},
    "EmptyLatentImage": {"width": ["INT", {}], "height": ["INT", {}], "batch_size": ["INT", {}]},
    "CLIPTextEncode": {"text": ["STRING", {}], "clip": ["CLIP", {}]},
    "KSampler": {
        "model": ["MODEL"], "seed": ["INT", {"control_after_generate": True}], "steps": ["INT"], "cfg": ["FLOAT"],
        "sampler_name": [["euler"], {}], "scheduler": [["simple"], {}], "positive": ["CONDITIONING"],
        "negative": ["CONDITIONING"], "latent_image": ["LATENT"], "denoise": ["FLOAT"],
    },
    "VAEDecode": {"samples": ["LATENT"], "vae": ["VAE"]},
    "LoraLoaderModelOnly": {"model": ["MODEL"], "lora_name": [["l"], {}], "strength_model": ["FLOAT"]},
    "SaveImage": {"images": ["IMAGE"], "filename_prefix": ["STRING"]},
}  # fmt: skip
OBJECT_INFO = {name: {"input": {"required": inputs}, "output": []} for name, inputs in NODES.items()}


def editor_file() -> dict:
    """SD15 as the editor saves it, with a bypassed LoRA, a reroute, a primitive and a comment between its nodes."""

    def node(key, kind, values, *links, **more):
        sockets = [{"name": name, "type": type_, "link": link} for name, type_, link in links]
        return {"id": key, "type": kind, "widgets_values": values, "inputs": sockets, "mode": 0} | more

    nodes = [
        node(4, "CheckpointLoaderSimple", ["shapes.safetensors"]),
        node(30, "LoraLoaderModelOnly", ["l", 1.0], ("model", "MODEL", 1), mode=4, outputs=[{"type": "MODEL"}]),
        node(5, "EmptyLatentImage", [512, 512, 1], ("width", "INT", 9)),
        node(31, "PrimitiveNode", [512, "fixed"]),
        node(6, "CLIPTextEncode", ["a red circle"], ("clip", "CLIP", 3)),
        node(7, "CLIPTextEncode", ["blurry"], ("clip", "CLIP", 10)),
        node(32, "Reroute", None, ("", "*", 3)),
        node(33, "Note", ["for later"]),
        node(
            3, "KSampler", [5, "randomize", 20, 7, "euler", "simple", 1],
            ("model", "MODEL", 2), ("positive", "CONDITIONING", 4), ("negative", "CONDITIONING", 5),
            ("latent_image", "LATENT", 6),
        ),
        node(8, "VAEDecode", [], ("samples", "LATENT", 7), ("vae", "VAE", 11)),
        node(9, "SaveImage", ["ComfyUI"], ("images", "IMAGE", 8)),
        node(34, "SaveImage", ["muted"], ("images", "IMAGE", 8), mode=2),
    ]  # fmt: skip
    links = [
        [1, 4, 0, 30, 0, "MODEL"], [2, 30, 0, 3, 0, "MODEL"], [3, 4, 1, 6, 0, "CLIP"], [4, 6, 0, 3, 1, "C"],
        [5, 7, 0, 3, 2, "C"], [6, 5, 0, 3, 3, "LATENT"], [7, 3, 0, 8, 0, "LATENT"], [8, 8, 0, 9, 0, "IMAGE"],
        [9, 31, 0, 5, 0, "INT"], [10, 32, 0, 7, 0, "CLIP"], {"id": 11, "origin_id": 4, "origin_slot": 2},
    ]  # fmt: skip
    return {"nodes": nodes, "links": links, "version": 0.4}


def test_editor_file_becomes_the_graph_that_comfyui_exports():
    exported = {key: {name: node[name] for name in ("class_type", "inputs")} for key, node in SD15.items()}
    assert converted(editor_file(), OBJECT_INFO) == exported


@pytest.mark.parametrize(
    ("index", "change", "reason"),
    [
        (8, {"widgets_values": ["euler", 5, 20, 7, "simple", 1]}, "no value of seed"),
        (4, {"widgets_values": ["a", "b"]}, "more values than inputs"),
        (4, {"type": "NoSuchNode"}, "does not have the node class NoSuchNode"),
        (4, {"type": "0a1b2c3d-0a1b-4c2d-8e3f-0123456789ab"}, "subgraph"),
        (6, {"inputs": [{"link": 10}]}, "circle"),
        (0, {"id": None}, "no id"),
    ],
    ids=["order", "surplus", "class", "subgraph", "circle", "id"],
)
def test_editor_file_that_cannot_be_read_with_certainty_is_refused(index, change, reason):
    file = editor_file()
    file["nodes"][index] |= change
    with pytest.raises(NotConvertible, match=reason):
        converted(file, OBJECT_INFO)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON: .* line 1"),
        ("[" * 100_000, "nested"),
        ("[" * 100 + "]" * 100, "nested"),
        ("[]", "object"),
        ('{"prompt": {}}', "object|class_type"),
        ('{"a": 1}', "class_type"),
        ('{"1": {"class_type": "A", "inputs": {"x": 1e999}}}', "cannot be stored"),
        ('{"1": {"class_type": "A", "inputs": {"x": "\\ud800"}}}', "cannot be stored"),
        ('{"1": {"class_type": "A\\u0000"}}', "null character"),
        ('{"1": {"class_type": "A", "x": ' + "9" * 5000 + "}}", "too long"),
        (" " * (5 * 2**20), "at most 4 MB"),
    ],
    ids=[
        "broken",
        "bomb",
        "deep",
        "list",
        "empty",
        "other",
        "infinite",
        "surrogate",
        "null",
        "digits",
        "size",
    ],
)
def test_text_without_a_workflow_is_refused_in_words(text, reason):
    with pytest.raises(NoWorkflow, match=reason):
        read_document(text)
