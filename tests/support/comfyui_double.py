"""Double of a ComfyUI server for tests: generates colored rectangles, with the wire format of version 0.3.64.

Written from observation of a real server. With ``newer``, prompt ids must be canonical UUIDs, as in later versions.
"""

from __future__ import annotations

import asyncio
import graphlib
import hashlib
import io
import itertools
import json
import re
import struct
import threading
import time
from email.parser import BytesParser
from typing import Any

import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.support import comfyui_outputs

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SAMPLERS = ["euler", "euler_ancestral", "dpmpp_2m", "dpmpp_sde", "ddim", "uni_pc", "lcm", "heun"]
SCHEDULERS = ["simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal"]
SAVING = ("SaveImage", *comfyui_outputs.NODES)
FILES = {
    "checkpoints": ["shapes.safetensors", "sd15/other.safetensors"],
    "loras": ["night.safetensors"],
    "controlnet": ["lineart.pth"],
    "vae": ["sepia.safetensors"],
    "upscale_models": ["2x.safetensors"],
    "diffusion_models": ["flux1-dev.safetensors"],
    "text_encoders": ["clip_l.safetensors", "t5xxl.safetensors"],
    "unet_gguf": ["flux1-dev-Q4.gguf"],
}


def _info(outputs: list[str], output_node: bool = False, **required: Any) -> dict[str, Any]:
    return {"input": {"required": required}, "output": outputs, "output_node": output_node}


class Double:
    """The server. ``at_step(prompt, step)`` is called before every sampler step; tests inject faults in it."""

    def __init__(self, *, newer: bool = False, certificate: dict[str, str] | None = None) -> None:
        """``certificate``: arguments of uvicorn, for a server with TLS."""
        self.newer = newer
        self.certificate = certificate or {}
        self.files = {folder: list(names) for folder, names in FILES.items()}
        self.embeddings = ["plum"]
        self.version = "0.3.64"
        self.pending_forever = 0  # prompts of other clients
        self.at_step = lambda prompt, step: None
        self.before_response = lambda path: None  # raises RuntimeError to fail and close the connection
        self.fails_with: dict[str, Any] | None = None
        self.drops_sockets = False
        self.posted: list[dict[str, Any]] = []  # bodies of POST /prompt that were accepted
        self.interrupts: list[Any] = []
        self.cancels: list[str] = []
        self.requests: list[str] = []  # paths, in order
        self.required_headers: dict[str, str] = {}
        self.drawn = 0  # number of saved outputs
        self.file_override = b""  # what the nodes other than SaveImage save, whatever they say
        self.inputs: dict[str, bytes] = {}
        self.outputs: dict[tuple[str, str], bytes] = {}
        self.sockets: dict[str, WebSocket] = {}
        self.mute = False
        self._forget()
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            self._application(),
            port=0,
            log_level="error",
            ws="websockets-sansio",
            lifespan="off",
            **self.certificate,
        )
        self._server = uvicorn.Server(config)
        self._serving = threading.Thread(target=self._server.run, daemon=True)
        self._serving.start()
        while not self._server.started:
            time.sleep(0.01)
        self._worker = threading.Thread(target=self._work, daemon=True)
        self._worker.start()

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def close(self) -> None:
        self._wake.set()
        self._closed = True
        self._server.should_exit = self._server.force_exit = True
        self._serving.join()

    def restart(self) -> None:
        """Simulate kill -9 and a restart: queue and history are lost, files are kept, sockets are closed."""
        self._epoch += 1
        for socket in list(self.sockets.values()):
            self._call(socket.close(1011))
        self.sockets.clear()
        epoch = self._epoch
        self._forget()
        self._epoch = epoch

    def clear_cache(self) -> None:
        """Results of nodes are forgotten, as by POST /free."""
        self._cache.clear()

    def _forget(self) -> None:
        self.pending: list[list[Any]] = []
        self.running: list[list[Any]] = []
        self.history: dict[str, Any] = {}
        self.interrupted = False
        self.freed: dict[str, bool] = {}
        self._number = itertools.count()
        self._cache: dict[str, str] = {}
        self._saved: dict[str, dict[str, Any]] = {}
        self._wake = threading.Event()
        self._epoch = getattr(self, "_epoch", 0)
        self._closed = False

    # Nodes -------------------------------------------------------------------------------------------------------

    def object_info(self) -> dict[str, Any]:
        def choice(folder: str) -> list[Any]:
            return [self.files[folder], {}]

        number = ["INT", {"min": 0, "max": 2**64 - 1}]
        sampler = {
            "model": ["MODEL"],
            "seed": number,
            "steps": ["INT", {"min": 1, "max": 10000}],
            "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}],
            "sampler_name": [SAMPLERS, {}],
            "scheduler": [SCHEDULERS, {}],
            "positive": ["CONDITIONING"],
            "negative": ["CONDITIONING"],
            "latent_image": ["LATENT"],
            "denoise": ["FLOAT", {"min": 0.0, "max": 1.0}],
        }
        control = {
            "positive": ["CONDITIONING"],
            "negative": ["CONDITIONING"],
            "control_net": ["CONTROL_NET"],
            "image": ["IMAGE"],
            "strength": ["FLOAT", {"min": 0.0, "max": 10.0}],
            "start_percent": ["FLOAT", {"min": 0.0, "max": 1.0}],
            "end_percent": ["FLOAT", {"min": 0.0, "max": 1.0}],
        }
        lora = {"model": ["MODEL"], "clip": ["CLIP"], "lora_name": choice("loras")}
        weights = {"strength_model": ["FLOAT", {}], "strength_clip": ["FLOAT", {}]}
        upscalers = ["COMBO", {"multiselect": False, "options": self.files["upscale_models"]}]
        size = {"width": number, "height": number}
        return {
            "CheckpointLoaderSimple": _info(["MODEL", "CLIP", "VAE"], ckpt_name=choice("checkpoints")),
            "CLIPSetLastLayer": _info(["CLIP"], clip=["CLIP"], stop_at_clip_layer=["INT", {"min": -24, "max": -1}]),
            "CLIPTextEncode": _info(["CONDITIONING"], text=["STRING"], clip=["CLIP"]),
            "EmptyLatentImage": _info(["LATENT"], **size, batch_size=number),
            "KSampler": _info(["LATENT"], **sampler),
            "VAEDecode": _info(["IMAGE"], samples=["LATENT"], vae=["VAE"]),
            "VAEEncode": _info(["LATENT"], pixels=["IMAGE"], vae=["VAE"]),
            "SetLatentNoiseMask": _info(["LATENT"], samples=["LATENT"], mask=["MASK"]),
            "LoadImage": _info(["IMAGE", "MASK"], image=[sorted(self.inputs), {}]),
            "LoadImageMask": _info(["MASK"], image=[sorted(self.inputs), {}], channel=[["alpha", "red", "green", "blue"], {}]),
            "LoraLoader": _info(["MODEL", "CLIP"], **lora, **weights),
            "VAELoader": _info(["VAE"], vae_name=[[*self.files["vae"], "pixel_space"], {}]),
            "UNETLoader": _info(["MODEL"], unet_name=choice("diffusion_models"), weight_dtype=[["default", "fp8_e4m3fn"], {}]),
            "UnetLoaderGGUF": _info(["MODEL"], unet_name=choice("unet_gguf")),
            "CLIPLoader": _info(["CLIP"], clip_name=choice("text_encoders"), type=[["sd3", "flux", "wan"], {}]),
            "DualCLIPLoader": _info(["CLIP"], clip_name1=choice("text_encoders"), clip_name2=choice("text_encoders"), type=[["sdxl", "flux"], {}]),
            "EmptySD3LatentImage": _info(["LATENT"], **size, batch_size=number),
            "FluxGuidance": _info(["CONDITIONING"], conditioning=["CONDITIONING"], guidance=["FLOAT", {}]),
            "BasicGuider": _info(["GUIDER"], model=["MODEL"], conditioning=["CONDITIONING"]),
            "BasicScheduler": _info(["SIGMAS"], model=["MODEL"], scheduler=[SCHEDULERS, {}], steps=["INT", {"min": 1, "max": 10000}], denoise=["FLOAT", {}]),
            "KSamplerSelect": _info(["SAMPLER"], sampler_name=[SAMPLERS, {}]),
            "RandomNoise": _info(["NOISE"], noise_seed=number),
            "SamplerCustomAdvanced": _info(["LATENT", "LATENT"], noise=["NOISE"], guider=["GUIDER"], sampler=["SAMPLER"], sigmas=["SIGMAS"], latent_image=["LATENT"]),
            "EmptyHunyuanLatentVideo": _info(["LATENT"], **size, length=number, batch_size=number),
            "WanImageToVideo": _info(["CONDITIONING", "CONDITIONING", "LATENT"], positive=["CONDITIONING"], negative=["CONDITIONING"], vae=["VAE"], **size, length=number, batch_size=number),
            "CreateVideo": _info(["VIDEO"], images=["IMAGE"], fps=["FLOAT", {"min": 1.0, "max": 120.0}]),
            "TextEncodeQwenImageEditPlus": {
                "input": {
                    "required": {"clip": ["CLIP"], "prompt": ["STRING"]},
                    "optional": {"vae": ["VAE"], "image1": ["IMAGE"], "image2": ["IMAGE"], "image3": ["IMAGE"]},
                },
                "output": ["CONDITIONING"],
                "output_node": False,
            },
            "BatchImagesNode": _info(["IMAGE"], images=["COMFY_AUTOGROW_V3", {"template": {"prefix": "image", "min": 2}}]),
            "ResizeImageMaskNode": _info(["IMAGE"], input=["COMFY_MATCHTYPE_V3"], resize_type=["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "scale dimensions"}]}]),
            "ControlNetLoader": _info(["CONTROL_NET"], control_net_name=choice("controlnet")),
            "ControlNetApplyAdvanced": _info(["CONDITIONING", "CONDITIONING"], **control),
            "LineArtPreprocessor": _info(["IMAGE"], image=["IMAGE"]),
            "UpscaleModelLoader": _info(["UPSCALE_MODEL"], model_name=upscalers),
            "ImageUpscaleWithModel": _info(["IMAGE"], upscale_model=["UPSCALE_MODEL"], image=["IMAGE"]),
            "ImageScale": _info(["IMAGE"], image=["IMAGE"], upscale_method=[["lanczos", "area"], {}], **size, crop=[["disabled"], {}]),
            "LatentUpscale": _info(["LATENT"], samples=["LATENT"], upscale_method=[["bilinear", "nearest-exact", "bicubic"], {}], **size, crop=[["disabled"], {}]),
            "SaveImage": _info([], True, images=["IMAGE"], filename_prefix=["STRING"]),
            **comfyui_outputs.NODES,
        }  # fmt: skip

    def _node_errors(self, graph: dict[str, Any]) -> dict[str, Any]:
        known = self.object_info()
        errors: dict[str, Any] = {}
        for key, node in graph.items():
            for name, spec in known[node["class_type"]]["input"]["required"].items():
                if spec[0].startswith("COMFY_") if isinstance(spec[0], str) else False:
                    continue  # written in parts, such as images.image0
                problem = _input_problem(node["inputs"], name, spec, graph)
                if problem:
                    entry = errors.setdefault(
                        key, {"errors": [], "dependent_outputs": ["save"], "class_type": node["class_type"]}
                    )
                    entry["errors"].append(problem)
        return errors

    # Routes ------------------------------------------------------------------------------------------------------

    def _application(self) -> Starlette:
        def route(path: str, handler: Any, *methods: str) -> Route:
            async def endpoint(request: Request) -> Response:
                self._loop = asyncio.get_running_loop()
                self.requests.append(request.url.path)
                if not self._is_authenticated(request.headers):
                    return Response("401: Unauthorized", 401)
                try:
                    self.before_response(request.url.path)
                except (
                    RuntimeError
                ):  # announced: the client's next request must not meet the connection closing
                    return Response(status_code=500, headers={"connection": "close"})
                return await handler(request)

            return Route(path, endpoint, methods=list(methods) or ["GET"])

        return Starlette(
            routes=[
                route("/system_stats", self._stats),
                route("/object_info", self._object_info),
                route("/models", self._model_folders),
                route("/models/{folder}", self._models),
                route("/embeddings", self._embeddings),
                route("/prompt", self._prompt, "POST"),
                route("/prompt", self._queue_remaining),
                *([route("/api/jobs/{id}/cancel", self._cancel, "POST")] if self.newer else []),
                route("/queue", self._queue),
                route("/queue", self._queue_delete, "POST"),
                route("/interrupt", self._interrupt, "POST"),
                route("/free", self._free, "POST"),
                route("/history/{id}", self._history),
                route("/upload/image", self._upload, "POST"),
                route("/view", self._view),
                WebSocketRoute("/ws", self._ws),
            ]
        )

    def _is_authenticated(self, headers: Any) -> bool:
        return all(headers.get(name) == value for name, value in self.required_headers.items())

    async def _stats(self, request: Request) -> Response:
        device = {
            "name": "cpu",
            "type": "cpu",
            "index": None,
            "vram_total": 4 * 2**30,
            "vram_free": 3 * 2**30,
        }
        return JSONResponse({"system": {"os": "posix", "comfyui_version": self.version}, "devices": [device]})

    async def _object_info(self, request: Request) -> Response:
        return JSONResponse(self.object_info())

    async def _model_folders(self, request: Request) -> Response:
        return JSONResponse([*self.files, "configs", "embeddings", "custom_nodes"])

    async def _queue_remaining(self, request: Request) -> Response:
        return JSONResponse(
            {"exec_info": {"queue_remaining": len(self.running) + len(self.pending) + self.pending_forever}}
        )

    async def _cancel(self, request: Request) -> Response:
        """Of newer servers: removes a pending prompt, or interrupts the running one, in one step."""
        wanted = request.path_params["id"]
        self.cancels.append(wanted)
        runs = any(item[1] == wanted for item in self.running)
        waits = any(item[1] == wanted for item in self.pending)
        self.pending = [item for item in self.pending if item[1] != wanted]
        self.interrupted = self.interrupted or runs
        return JSONResponse({"cancelled": runs or waits})

    async def _models(self, request: Request) -> Response:
        names = self.files.get(request.path_params["folder"])
        return Response(status_code=404) if names is None else JSONResponse(names)

    async def _embeddings(self, request: Request) -> Response:
        return JSONResponse(self.embeddings)

    async def _prompt(self, request: Request) -> Response:
        body = await request.json()
        number, graph = next(self._number), body.get("prompt")
        if not graph:
            return _rejected("no_prompt", "No prompt provided")
        prompt_id = body.get("prompt_id")
        if self.newer and not UUID.fullmatch(str(prompt_id)):
            return _rejected("invalid_prompt_id", "prompt_id must be a valid UUID")
        for key, node in graph.items():
            if node.get("class_type") not in self.object_info():
                message = f"Cannot execute because node {node.get('class_type')} does not exist."
                return _rejected("invalid_prompt", message, f"Node ID '#{key}'")
        if errors := self._node_errors(graph):
            return _rejected(
                "prompt_outputs_failed_validation", "Prompt outputs failed validation", "", errors
            )
        self.posted.append(body)
        outputs = [key for key, node in graph.items() if node["class_type"] in SAVING]
        self.pending.append([number, prompt_id, graph, {"client_id": body.get("client_id")}, outputs])
        self._send_status()
        self._wake.set()
        return JSONResponse({"prompt_id": prompt_id, "number": number, "node_errors": {}})

    async def _queue(self, request: Request) -> Response:
        return JSONResponse({"queue_running": self.running, "queue_pending": self.pending})

    async def _queue_delete(self, request: Request) -> Response:
        for prompt_id in (await request.json()).get("delete", []):
            self.pending = [item for item in self.pending if item[1] != prompt_id]
        return Response()

    async def _interrupt(self, request: Request) -> Response:
        body = await request.body()
        wanted = json.loads(body).get("prompt_id") if body else None
        self.interrupts.append(wanted)
        if wanted is None or any(item[1] == wanted for item in self.running):
            self.interrupted = True
        return Response()

    async def _free(self, request: Request) -> Response:
        self.freed = await request.json()
        return Response()

    async def _history(self, request: Request) -> Response:
        prompt_id = request.path_params["id"]
        known = self.history.get(prompt_id)
        return JSONResponse({prompt_id: known} if known else {})

    async def _upload(self, request: Request) -> Response:
        head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
        message = BytesParser().parsebytes(head + await request.body())
        parts = {part.get_param("name", header="content-disposition"): part for part in message.get_payload()}
        data = parts["image"].get_payload(decode=True)
        folder = parts["subfolder"].get_payload(decode=True).decode() if "subfolder" in parts else ""
        name = parts["image"].get_filename()
        path = f"{folder}/{name}" if folder else name
        if self.inputs.get(path, data) != data:
            name = name.replace(".png", " (1).png")
            path = f"{folder}/{name}" if folder else name
        self.inputs[path] = data
        return JSONResponse({"name": name, "subfolder": folder, "type": "input"})

    async def _view(self, request: Request) -> Response:
        query = request.query_params
        data = self.outputs.get((query.get("subfolder", ""), query.get("filename", "")))
        return Response(status_code=404) if data is None else Response(data, media_type="image/png")

    async def _ws(self, socket: WebSocket) -> None:
        self._loop = asyncio.get_running_loop()
        if not self._is_authenticated(socket.headers):
            await socket.close(1008)
            return
        await socket.accept()
        sid = socket.query_params.get("clientId", "made up")
        self.sockets[sid] = socket
        await socket.send_text(self._status(sid=sid))
        if self.running:  # the running node is sent again, without its prompt id
            await socket.send_text(json.dumps({"type": "executing", "data": {"node": "sampler"}}))
        try:
            while True:
                await socket.receive_text()
        except WebSocketDisconnect:
            self.sockets.pop(sid, None)  # by client id: this removes a newer socket of the same id too

    # The worker --------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        while not self._closed:
            self._wake.wait(0.05)
            if not self.pending:
                continue
            item = self.pending.pop(0)
            self.running = [item]
            self.interrupted = False
            epoch = self._epoch
            try:
                self._execute(item, epoch)
            except Gone:
                continue
            self.running = []

    def _execute(self, item: list[Any], epoch: int) -> None:
        _number, prompt_id, graph, extra, _outputs = item
        client = extra["client_id"]
        messages: list[Any] = []

        def send(kind: str, **data: Any) -> None:
            self._check_epoch(epoch)
            data |= {"prompt_id": prompt_id, "timestamp": int(time.time() * 1000)}
            messages.append([kind, data])
            self._send(client, kind, data)

        send("execution_start")
        keys = {key: _content_key(graph, key) for key in graph}
        cached = [key for key in graph if keys[key] in self._cache]
        send("execution_cached", nodes=cached)
        state: dict[str, Any] = {"status_str": "success", "completed": True}
        outputs: dict[str, Any] = {}
        try:
            for key in _execution_order(graph):
                self._check_epoch(epoch)
                node = graph[key]
                if key in cached:
                    if keys[key] in self._saved:
                        outputs[key] = self._saved[keys[key]]
                    continue
                self._send(client, "executing", {"node": key, "display_node": key, "prompt_id": prompt_id})
                if self.fails_with and node["class_type"] == self.fails_with["node_type"]:
                    raise Failure(key, node["class_type"])
                if node["class_type"] in ("KSampler", "SamplerCustomAdvanced"):
                    self._sample(client, prompt_id, key, _steps(graph, node), epoch)
                if node["class_type"] == "SaveImage":
                    outputs[key] = {
                        "images": [self.save_output(graph, node) for _image in range(_batch_size(graph))]
                    }
                    self._saved[keys[key]] = outputs[key]
                elif node["class_type"] == "SaveImageWebsocket":  # runs every time, and leaves no history
                    self._send_image(client, prompt_id, key, graph)
                    continue
                elif node["class_type"] in comfyui_outputs.NODES:
                    outputs[key] = self._saved[keys[key]] = self._save(graph, node)
                self._cache[keys[key]] = key
            send("execution_success")
        except Stopped:
            state = {"status_str": "error", "completed": False}
            send("execution_interrupted", node_id="sampler", node_type="KSampler", executed=[])
        except Failure as failure:
            state = {"status_str": "error", "completed": False}
            send(
                "execution_error",
                node_id=failure.args[0],
                node_type=failure.args[1],
                **self.fails_with["data"],
            )
        self._check_epoch(epoch)
        self.history[prompt_id] = {
            "prompt": item,
            "outputs": outputs,
            "status": {**state, "messages": messages},
        }
        self._send_status()
        self._send(client, "executing", {"node": None, "prompt_id": prompt_id})

    def _sample(self, client: str, prompt_id: str, key: str, steps: int, epoch: int) -> None:
        for step in range(1, steps + 1):
            self.at_step(prompt_id, step)
            self._check_epoch(epoch)
            if self.interrupted:
                self.interrupted = False
                raise Stopped
            metadata = json.dumps(
                {"node_id": key, "prompt_id": prompt_id, "image_type": "image/jpeg"}
            ).encode()
            self._send_bytes(
                client, struct.pack(">II", 4, len(metadata)) + metadata + _image_file((64, 64), "JPEG")
            )
            self._send(client, "progress", {"value": step, "max": steps, "prompt_id": prompt_id, "node": key})

    def save_output(self, graph: dict[str, Any], node: dict[str, Any]) -> dict[str, str]:
        self.drawn += 1
        folder, _slash, name = node["inputs"]["filename_prefix"].rpartition("/")
        taken = sum(key[0] == folder and key[1].startswith(f"{name}_") for key in self.outputs)
        filename = f"{name}_{taken + 1:05}_.png"
        self.outputs[folder, filename] = _image_file(
            self._size(graph), "PNG", (_seed(graph) % 256, 80, 120), json.dumps(graph)
        )
        return {"filename": filename, "subfolder": folder, "type": "output"}

    def _save(self, graph: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
        """Save the output of a node other than SaveImage. Returns its entry in the history."""
        self.drawn += 1
        saved = comfyui_outputs.saved(
            node, self._size(graph), _frames(graph), _seed(graph), json.dumps(graph)
        )
        folder, _slash, name = node["inputs"].get("filename_prefix", "ComfyUI_temp_abcde").rpartition("/")
        taken = sum(key[0] == folder and key[1].startswith(f"{name}_") for key in self.outputs)
        names = [f"{name}_{taken + 1:05}{suffix}" for suffix in saved.files]
        for filename, data in zip(names, saved.files.values(), strict=True):
            self.outputs[folder, filename] = self.file_override or data
        return saved.history(folder, names)

    def _send_image(self, client: str, prompt_id: str, key: str, graph: dict[str, Any]) -> None:
        self.drawn += 1
        image = _image_file(self._size(graph), "PNG", (_seed(graph) % 256, 80, 120), json.dumps(graph))
        metadata = {"node_id": key, "prompt_id": prompt_id, "image_type": "image/png"}
        head = json.dumps(metadata).encode()
        self._send_bytes(client, struct.pack(">II", 4, len(head)) + head + image)

    def _size(self, graph: dict[str, Any]) -> tuple[int, int]:
        sized = [n["inputs"] for n in graph.values() if "width" in n["inputs"]]
        if sized:
            return sized[-1]["width"] // 8 * 8, sized[-1]["height"] // 8 * 8
        image = next(n["inputs"]["image"] for n in graph.values() if n["class_type"] == "LoadImage")
        with Image.open(io.BytesIO(self.inputs[image])) as image:
            return image.size

    def _check_epoch(self, epoch: int) -> None:
        if epoch != self._epoch or self._closed:
            raise Gone

    # Messages ----------------------------------------------------------------------------------------------------

    def _status(self, **more: Any) -> str:
        count = len(self.running) + len(self.pending)
        return json.dumps(
            {"type": "status", "data": {"status": {"exec_info": {"queue_remaining": count}}, **more}}
        )

    def _send_status(self) -> None:
        for socket in list(self.sockets.values()):
            self._call(socket.send_text(self._status()))

    def _send(self, client: str, kind: str, data: dict[str, Any]) -> None:
        socket = self.sockets.get(client)
        if socket is not None and not self.mute:
            self._call(socket.send_text(json.dumps({"type": kind, "data": data})))

    def _send_bytes(self, client: str, data: bytes) -> None:
        socket = self.sockets.get(client)
        if socket is not None and not self.mute:
            self._call(socket.send_bytes(data))

    def drop_sockets(self) -> None:
        for socket in list(self.sockets.values()):
            self._call(socket.close(1011))

    def _call(self, coroutine: Any) -> None:
        if self._loop is None:
            coroutine.close()
            return
        asyncio.run_coroutine_threadsafe(coroutine, self._loop)


class Gone(Exception):
    """The server was restarted or closed while a prompt was running."""


class Stopped(Exception):
    """The prompt was interrupted."""


class Failure(Exception):
    """A node failed."""


def _steps(graph: dict[str, Any], node: dict[str, Any]) -> int:
    """Steps of a sampler: its own, or those of the scheduler that gives its sigmas."""
    inputs = node["inputs"]
    return inputs["steps"] if "steps" in inputs else graph[inputs["sigmas"][0]]["inputs"]["steps"]


def _seed(graph: dict[str, Any]) -> int:
    seeds = [n["inputs"].get("seed", n["inputs"].get("noise_seed")) for n in graph.values()]
    return next((seed for seed in seeds if seed is not None), 0)


def _frames(graph: dict[str, Any]) -> int:
    lengths = [
        n["inputs"][name] for n in graph.values() for name in ("length", "batch_size") if name in n["inputs"]
    ]
    return next(iter(lengths), 1)


def _batch_size(graph: dict[str, Any]) -> int:
    """Images of one prompt: that of the latent."""
    return max((node["inputs"].get("batch_size", 1) for node in graph.values()), default=1)


def _rejected(
    kind: str, message: str, details: str = "", node_errors: dict[str, Any] | None = None
) -> Response:
    error = {"type": kind, "message": message, "details": details, "extra_info": {}}
    return JSONResponse({"error": error, "node_errors": node_errors or {}}, 400)


def _input_problem(
    inputs: dict[str, Any], name: str, spec: list[Any], graph: dict[str, Any]
) -> dict[str, Any] | None:
    extra = {"input_name": name, "input_config": spec}
    if name not in inputs:
        return {
            "type": "required_input_missing",
            "message": "Required input is missing",
            "details": name,
            "extra_info": extra,
        }
    value = inputs[name]
    if isinstance(value, list):
        return None
    options = spec[0] if isinstance(spec[0], list) else spec[1].get("options") if spec[0] == "COMBO" else None
    if options is not None and value not in options:
        details = f"{name}: '{value}' not in {options}"
        return {
            "type": "value_not_in_list",
            "message": "Value not in list",
            "details": details,
            "extra_info": extra,
        }
    limits = spec[1] if len(spec) > 1 else {}
    if isinstance(value, int | float) and "max" in limits and value > limits["max"]:
        message = f"Value {value} bigger than max of {limits['max']}"
        return {"type": "value_bigger_than_max", "message": message, "details": name, "extra_info": extra}
    if isinstance(value, int | float) and "min" in limits and value < limits["min"]:
        message = f"Value {value} smaller than min of {limits['min']}"
        return {"type": "value_smaller_than_min", "message": message, "details": name, "extra_info": extra}
    return None


def _execution_order(graph: dict[str, Any]) -> list[str]:
    """Return the node keys in execution order."""
    links = {
        key: {value[0] for value in node["inputs"].values() if isinstance(value, list)}
        for key, node in graph.items()
    }
    return list(graphlib.TopologicalSorter(links).static_order())


def _content_key(graph: dict[str, Any], key: str) -> str:
    """Return a hash of a node and all its inputs, for the cache."""
    node = graph[key]
    inputs = {
        name: _content_key(graph, value[0]) + str(value[1]) if isinstance(value, list) else value
        for name, value in node["inputs"].items()
    }
    return hashlib.sha256(json.dumps([node["class_type"], inputs], sort_keys=True).encode()).hexdigest()


def _image_file(size: tuple[int, int], kind: str, color: Any = "teal", prompt: str = "") -> bytes:
    from PIL.PngImagePlugin import PngInfo

    file = io.BytesIO()
    image = Image.new("RGB", size, color)
    if kind == "PNG":
        info = PngInfo()
        info.add_text("prompt", prompt)
        image.save(file, kind, pnginfo=info)
    else:
        image.save(file, kind)
    return file.getvalue()
