"""Jobs of the adapter against a ComfyUI double: the queued graphs, outputs, progress and errors."""

import base64
import io

from PIL import Image as PILImage

from gpu_runner.protocol import Accepted, Done, Failed
from gpu_runner.protocol.request_parts.control import ControlUnit
from gpu_runner.protocol.request_parts.passes import Hires, LoraUse
from tests.support.event_listener import Listener, image_file


def test_a_job_generates_an_image(generate, make_request, double):
    listener = generate(make_request(seed=7, width=128, height=64, num_inference_steps=4))
    assert isinstance(listener.events[0], Accepted)
    assert isinstance(listener.events[-1], Done)
    (image,) = listener.images
    assert (image.width, image.height, image.seed) == (128, 64, 7)
    assert listener.events[-1].steps_run == 4


def test_unload_frees_the_memory_of_the_server(generate, make_request, double, backend):
    generate(make_request())
    assert backend.report().loaded
    assert backend.unload()
    assert double.freed == {"unload_models": True, "free_memory": True}
    assert not backend.report().loaded


def test_names_and_prompts_are_translated_to_comfyui(generate, make_request, double):
    generate(
        make_request(
            prompt="a [cat] (dog:1.3)",
            sampler="DPM++ 2M",
            scheduler="Karras",
            clip_skip=2,
            guidance_scale=5.5,
        )
    )
    graph = double.posted[0]["prompt"]
    assert graph["positive"]["inputs"]["text"] == "a (cat:0.9091) (dog:1.3)"
    sampler = graph["sampler"]["inputs"]
    assert (sampler["sampler_name"], sampler["scheduler"], sampler["cfg"]) == ("dpmpp_2m", "karras", 5.5)
    assert graph["clip_skip"]["inputs"]["stop_at_clip_layer"] == -2
    assert graph["checkpoint"]["inputs"]["ckpt_name"] == "shapes.safetensors"


def test_every_image_is_a_prompt_with_its_own_seed(generate, make_request, double):
    listener = generate(make_request(seed=40, num_images=3, batch_size=3))
    assert [image.seed for image in listener.images] == [40, 41, 42]
    assert [body["prompt"]["sampler"]["inputs"]["seed"] for body in double.posted] == [40, 41, 42]
    colors = {
        PILImage.open(io.BytesIO(base64.b64decode(image.data))).getpixel((0, 0))[0]
        for image in listener.images
    }
    assert colors == {40, 41, 42}


def test_progress_is_reported_per_step_with_previews(generate, make_request):
    listener = generate(make_request(num_inference_steps=5, preview_every=1))
    assert max(progress.step for progress in listener.progress) == 5
    assert {progress.steps for progress in listener.progress} == {5}
    assert any(progress.preview for progress in listener.progress)


def test_the_output_contains_no_metadata_of_comfyui(generate, make_request):
    (image,) = generate(make_request()).images
    assert PILImage.open(io.BytesIO(base64.b64decode(image.data))).info == {}


def test_loras_are_inserted_after_the_checkpoint(generate, make_request, double):
    generate(make_request(loras=(LoraUse(name="night", unet=0.8, text_encoder=0.5),)))
    graph = double.posted[0]["prompt"]
    (key,) = [key for key, node in graph.items() if node["class_type"] == "LoraLoader"]
    assert graph[key]["inputs"]["model"] == ["checkpoint", 0]
    assert graph["sampler"]["inputs"]["model"] == [key, 0]
    assert graph["clip_skip"]["inputs"]["clip"] == [key, 1]
    assert (graph[key]["inputs"]["strength_model"], graph[key]["inputs"]["strength_clip"]) == (0.8, 0.5)


def test_a_vae_replaces_that_of_the_checkpoint(generate, make_request, double):
    generate(make_request(vae="sepia"))
    graph = double.posted[0]["prompt"]
    loader = graph["decode"]["inputs"]["vae"][0]
    assert graph[loader] == {"class_type": "VAELoader", "inputs": {"vae_name": "sepia.safetensors"}}


def test_embeddings_are_marked_in_the_prompt(generate, make_request, double):
    generate(make_request(prompt="a (plum, red) circle", embeddings=("plum",)))
    assert "embedding:plum" in double.posted[0]["prompt"]["positive"]["inputs"]["text"]


def test_img2img_uploads_the_init_image_at_the_request_size(generate, make_request, double):
    listener = generate(make_request("job-1", image_file("blue", (200, 100)), width=128, height=128, strength=0.5,
                     num_inference_steps=10, resize_mode="crop"))  # fmt: skip
    sampler = double.posted[0]["prompt"]["sampler"]["inputs"]
    assert (sampler["denoise"], sampler["steps"]) == (0.5, 6)
    (uploaded,) = double.inputs.values()
    assert PILImage.open(io.BytesIO(uploaded)).size == (128, 128)
    assert listener.events[-1].steps_run == 6


def test_a_control_unit_uploads_its_map(generate, make_request, double):
    image = image_file("white")
    unit = ControlUnit(model="lineart", module="canny", weight=0.7, guidance_end=0.5)
    generate(make_request("job-1", image, controls=(unit,)))
    graph = double.posted[0]["prompt"]
    applied = graph[graph["sampler"]["inputs"]["positive"][0]]
    assert applied["class_type"] == "ControlNetApplyAdvanced"
    assert (applied["inputs"]["strength"], applied["inputs"]["end_percent"]) == (0.7, 0.5)
    assert applied["inputs"]["positive"] == ["positive", 0]


def test_a_preprocessor_with_a_network_is_a_node(generate, make_request, double):
    generate(
        make_request("job-1", image_file("white"), controls=(ControlUnit(model="lineart", module="lineart"),))
    )
    assert "LineArtPreprocessor" in {node["class_type"] for node in double.posted[0]["prompt"].values()}


def test_hires_upscales_the_latent(generate, make_request, double):
    listener = generate(
        make_request(
            hires=Hires(width=128, height=128, strength=0.4, num_inference_steps=3), num_inference_steps=4
        )
    )
    graph = double.posted[0]["prompt"]
    assert graph["larger"]["inputs"]["width"] == 128
    assert graph["second"]["inputs"]["denoise"] == 0.4
    assert listener.images[0].width == 128
    assert listener.events[-1].steps_run == 7


def test_hires_with_an_upscaler_loads_its_model(generate, make_request, double):
    generate(make_request(hires=Hires(width=128, height=128, upscaler="2x")))
    assert double.posted[0]["prompt"]["upscaler"]["inputs"]["model_name"] == "2x.safetensors"


def test_newer_servers_accept_the_prompt_ids(make_request, double, generate):
    double.newer = True
    assert isinstance(generate(make_request()).events[-1], Done)


# Errors --------------------------------------------------------------------------------------------------------------


def failure(listener: Listener) -> Failed:
    assert isinstance(listener.events[-1], Failed), listener.events[-1]
    return listener.events[-1]


def test_a_model_that_the_server_does_not_have_fails_the_job(generate, make_request):
    failed = failure(generate(make_request(loras=(LoraUse(name="unknown"),))))
    assert failed.code == "model_unavailable"
    assert "unknown" in failed.message


def test_a_workflow_with_a_node_that_the_server_does_not_have_fails_the_job(
    backend, generate, make_request, double
):
    known = double.object_info
    double.object_info = lambda: {name: info for name, info in known().items() if name != "CLIPSetLastLayer"}
    backend.poller.refresh()
    failed = failure(generate(make_request()))
    assert failed.code == "model_unavailable"
    assert "CLIPSetLastLayer" in failed.message
    assert double.posted == []


def test_a_rejected_prompt_is_reported_without_file_lists(generate, make_request, double):
    double.files["checkpoints"].append("secret-name.safetensors")
    known = double.object_info
    double.object_info = lambda: {**known(), "KSampler": {**known()["KSampler"], "input": {"required": {
        **known()["KSampler"]["input"]["required"], "steps": ["INT", {"max": 3}]}}}}  # fmt: skip
    failed = failure(generate(make_request(num_inference_steps=8)))
    assert failed.code == "bad_request"
    assert "steps" in failed.message
    assert "secret-name" not in failed.message


def test_a_failed_node_is_named_without_its_error_message(generate, make_request, double):
    data = {
        "exception_type": "torch.Error",
        "exception_message": "/secret/path is bad\n",
        "traceback": ["x" * 30_000],
    }
    double.fails_with = {"node_type": "KSampler", "data": data}
    failed = failure(generate(make_request()))
    assert failed.code == "internal"
    assert "KSampler" in failed.message
    assert "secret" not in failed.message


def test_out_of_memory_is_reported(generate, make_request, double):
    data = {"exception_type": "torch.OutOfMemoryError", "exception_message": "Allocation on device"}
    double.fails_with = {"node_type": "KSampler", "data": data}
    assert failure(generate(make_request())).code == "out_of_memory"


def test_output_that_is_no_image_is_not_called_the_clients(generate, make_request, double):
    known = double.save_output

    def save_video(graph, node):
        known(graph, node)
        double.outputs["atelier", "clip.webm"] = b"webm"
        return {"filename": "clip.webm", "subfolder": "atelier", "type": "output"}

    double.save_output = save_video
    failed = failure(generate(make_request()))
    assert failed.code == "bad_request"
    assert (
        failed.message
        == "the workflow saved a file of an unknown type, which is neither an image nor a video"
    )
