"""A job in the adapter's hands: one prompt for each picture, one after the other, in a thread of its own.

One prompt each, because in a batch ComfyUI's pictures do not depend on their own seeds alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from PIL import Image as PILImage

from gpu_runner import logs
from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.comfyui.inventory import ServerInventory
from gpu_runner.imaging import images
from gpu_runner.imaging.images import InvalidImage
from gpu_runner.protocol import (
    Accepted,
    Done,
    ErrorCode,
    Event,
    Failed,
    Image,
    Progress,
    RunRequest,
    Workflow,
)
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.protocol.workflows.graph_builder import counted_steps

from . import graph as filled
from . import input_images
from .graph import MissingModel, UploadedInputs
from .input_images import Stage
from .progress_socket import ProgressSocket
from .prompt_execution import Cancelled, NodeExecutionError, NotQueued, Outcome, PromptLost, PromptRun

log = logging.getLogger(__name__)

Mode = Literal["discard", "interrupt", "skip"]
FOLDER = "atelier"  # of ComfyUI's outputs
PREVIEW_SIDE = 256
LOADERS = frozenset(
    {"CheckpointLoaderSimple", "LoraLoader", "VAELoader", "ControlNetLoader", "UpscaleModelLoader"}
)


@dataclass
class ComfyJob:
    client: ComfyClient
    url: str
    name: str  # of this adapter, at the beginning of every client id
    order: RunRequest
    stock: Callable[[], ServerInventory]
    on_event: Callable[[Event], None]
    patience_s: float
    steps_run: int = 0
    device_seconds: float = 0.0
    ended: threading.Event = field(default_factory=threading.Event)
    _mode: Mode | None = None
    _images_done: int = 0

    def start(self) -> None:
        threading.Thread(target=self._run, name=f"drawing-{self.order.job_id}", daemon=True).start()

    def cancel(self, mode: Mode) -> None:
        if self._mode != "discard":
            self._mode = mode

    def discard(self) -> None:
        """The worker has gone."""
        self.cancel("discard")

    def _run(self) -> None:
        began = time.monotonic()
        client_id = f"{self.name}-{uuid.uuid4().hex}"
        ear = ProgressSocket(self.url, client_id)
        last: Done | Failed
        try:
            last = self._draw(ear, client_id, began)
        except Exception as error:
            last = self._failed(error, began)
        finally:
            ear.close()
            self.ended.set()
        self.on_event(last)

    def _draw(self, ear: ProgressSocket, client_id: str, began: float) -> Done:
        self.on_event(Accepted(job_id=self.order.job_id))
        if not self.stock().nodes:
            raise NotQueued("nothing is known of the server yet")
        workflow = filled.check(self.order, self.stock())
        stages = input_images.stages(self.order)
        sent = [self._send(stage) for stage in stages]
        ear.start()
        for index in range(self.order.request.num_images):
            if self._mode in ("discard", "interrupt"):
                break
            self._mode = None
            stage = index if len(stages) > 1 else 0
            self._picture(ear, client_id, workflow, index, stages[stage], sent[stage])
        if self._mode == "discard":
            raise Cancelled
        return self._work(began)

    def _work(self, began: float) -> Done:
        return Done(
            engine_seconds=time.monotonic() - began,
            device_seconds=self.device_seconds,
            steps_run=self.steps_run,
        )

    def _picture(
        self,
        ear: ProgressSocket,
        client_id: str,
        workflow: Workflow,
        index: int,
        stage: Stage,
        sent: UploadedInputs,
    ) -> None:
        prefix = f"{FOLDER}/{self.order.job_id}-{index}"
        graph = filled.graph(self.order, workflow, self.stock(), index, sent, prefix)
        steps = counted_steps(workflow, graph) or {workflow.output_node: 1}
        prompt = PromptRun(
            client=self.client,
            ear=ear,
            graph=graph,
            prompt_id=str(uuid.uuid4()),
            client_id=client_id,
            output_node=workflow.output_node,
            steps=steps,
            patience_s=self.patience_s,
            stopping=lambda: self._mode is not None,
            on_progress=lambda done, preview: self._progress(done, sum(steps.values()), preview, index),
        )
        try:
            outcome = prompt.run()
            drawn = self._fetched(outcome)
        except Cancelled:
            if self._mode is None:
                raise PromptLost("another client of this ComfyUI interrupted the prompt") from None
            self.steps_run += prompt.steps_done
            return
        except PromptLost:
            drawn = self._left_behind(prefix)
            outcome = Outcome(())
        self.steps_run += sum(count for node, count in steps.items() if node not in outcome.cached)
        self.device_seconds += outcome.seconds
        self._deliver(index, stage.finish(drawn))

    def _send(self, stage: Stage) -> UploadedInputs:
        mask = stage.mask
        return UploadedInputs(
            init=self._upload(stage.canvas.frame) if stage.canvas else "",
            mask=self._upload(mask.convert("RGB")) if mask else "",
            controls=[self._upload(picture) for picture in stage.controls],
        )

    def _upload(self, picture: PILImage.Image) -> str:
        """By the hash of its content, so that the same picture is kept once."""
        data = images.png(picture)
        name = f"{hashlib.sha256(data).hexdigest()}.png"
        for attempt in range(3):
            try:
                return self.client.upload(name, data)
            except ServerTimeout as error:
                if attempt == 2:
                    raise NotQueued(str(error)) from error
        raise AssertionError("not reached")

    # What comes back -----------------------------------------------------------------------------------------------

    def _fetched(self, outcome: Outcome) -> PILImage.Image:
        if not outcome.pictures:
            raise InvalidRequest("the workflow ended without a picture")
        first = outcome.pictures[0]
        place = (
            str(first.get("filename")),
            str(first.get("subfolder", "")),
            str(first.get("type", "output")),
        )
        give_up = time.monotonic() + self.patience_s
        while True:
            try:
                return _read(self.client.view(*place))
            except Rejected as error:
                raise PromptLost("the drawn picture is gone") from error
            except ServerTimeout as error:
                if time.monotonic() >= give_up:
                    raise PromptLost("ComfyUI stopped answering") from error
                time.sleep(min(1.0, self.patience_s / 4))

    def _left_behind(self, prefix: str) -> PILImage.Image:
        """A picture that was saved before its server forgot it lies where its name says."""
        folder, _slash, name = prefix.partition("/")
        try:
            return _read(self.client.view(f"{name}_00001_.png", folder, "output"))
        except (ServerTimeout, Rejected, InvalidImage):
            raise PromptLost("ComfyUI restarted or went silent, and forgot the prompt") from None

    def _deliver(self, index: int, picture: PILImage.Image) -> None:
        self._images_done += 1
        data = base64.b64encode(images.png(picture)).decode()
        seed = self.order.request.seed_of(index)
        self.on_event(Image(index=index, seed=seed, width=picture.width, height=picture.height, data=data))

    def _progress(self, done: int, steps: int, preview: bytes | None, index: int) -> None:
        every = self.order.request.preview_every
        shown = _small(preview) if preview and every and done % every == 0 else None
        if preview and shown is None:
            return
        count = self.order.request.num_images
        self.on_event(
            Progress(
                step=steps * index + done,
                steps=steps * count,
                images_done=self._images_done,
                batch=index,
                batch_step=done,
                preview=shown,
            )
        )

    # What goes wrong -----------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, began: float) -> Failed:
        code, message = explain(error)
        with logs.about(self.order.job_id):
            if code == "internal":
                log.error("job %s failed", self.order.job_id, exc_info=error)
            else:
                log.warning("job %s: %s: %s", self.order.job_id, code, error)
        return Failed(code=code, message=message, work=self._work(began))


def explain(error: Exception) -> tuple[ErrorCode, str]:
    """Nothing of what the server said in its own words: paths and lists of files are in them."""
    match error:
        case Cancelled():
            return "cancelled", "cancelled"
        case PromptLost():
            return "lost", str(error)
        case NotQueued():
            return "busy", "ComfyUI does not answer"
        case MissingModel():
            return "model_unavailable", str(error)
        case InvalidRequest() | InvalidImage():
            return "bad_request", str(error)
        case Rejected():
            return _rejection(error.body)
        case NodeExecutionError() if error.out_of_memory:
            return "out_of_memory", "The picture is too large for this ComfyUI's memory."
        case NodeExecutionError() if error.node_type in LOADERS:
            return "model_unavailable", f"ComfyUI could not load a model in the node {error.node_type}."
        case NodeExecutionError():
            return "internal", f"ComfyUI failed in the node {error.node_type} ({error.exception_type})."
    return "internal", "an internal error ended the job"


def _rejection(body: dict[str, Any]) -> tuple[ErrorCode, str]:
    """Which input of which node, and the general complaint."""
    for key, node in (body.get("node_errors") or {}).items():
        for problem in node.get("errors") or []:
            field = (problem.get("extra_info") or {}).get("input_name", "")
            code: ErrorCode = "model_unavailable" if node.get("class_type") in LOADERS else "bad_request"
            complaint = str(problem.get("message", ""))[:100]
            return (
                code,
                f"ComfyUI refused the input {field} of node {key} ({node.get('class_type')}): {complaint}",
            )
    kind = str((body.get("error") or {}).get("type", ""))[:100]
    return "bad_request", f"ComfyUI refused the workflow{f' ({kind})' if kind else ''}."


def _read(data: bytes) -> PILImage.Image:
    return images.read(data)


def _small(data: bytes) -> str | None:
    try:
        with PILImage.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
            small = picture.convert("RGB")
    except Exception:  # decoders raise anything on broken files, and a preview is no more than that
        return None
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode()
