"""One job on a ComfyUI server, in a thread: one prompt per image, one after the other.

Images are not batched, because in a batch of ComfyUI an image depends on more than its own seed.
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
from typing import Literal

from PIL import Image as PILImage

from gpu_runner import logs
from gpu_runner.comfyui.client import (
    MAX_OUTPUT_BYTES,
    ComfyClient,
    OutputTooLarge,
    Rejected,
    ServerTimeout,
)
from gpu_runner.comfyui.inventory_poller import InventoryPoller
from gpu_runner.imaging import images
from gpu_runner.protocol import (
    PROTOCOL_VERSION,
    Accepted,
    Done,
    Environment,
    Event,
    Failed,
    Image,
    Progress,
    RunRequest,
    Video,
    Workflow,
)
from gpu_runner.protocol.errors import InvalidRequest
from gpu_runner.server.versions import own_version

from . import errors, input_images, outputs
from .graph import MissingModel, UploadedInputs, check, graph_of
from .input_images import ImageSet
from .progress_socket import ProgressSocket
from .prompt_execution import Cancelled, NotQueued, Outcome, PromptLost, PromptRun
from .step_counter import StepCounter

log = logging.getLogger(__name__)

Mode = Literal["discard", "interrupt", "skip"]
FOLDER = "atelier"  # in ComfyUI's output folder
PREVIEW_SIDE = 256


@dataclass
class ComfyJob:
    """Runs a job and reports its events to ``on_event``, from its own thread."""

    client: ComfyClient
    connect: Callable[[str], ProgressSocket]  # with a client id
    name: str  # of this adapter; prefix of its client ids
    run_request: RunRequest
    poller: InventoryPoller
    on_event: Callable[[Event], None]
    timeout_s: float
    steps_run: int = 0
    device_seconds: float = 0.0
    images_drawn: float = 0.0
    images_cached: int = 0
    ended: threading.Event = field(default_factory=threading.Event)
    _mode: Mode | None = None
    _images_done: int = 0
    _newest_preview: bytes = b""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=f"job-{self.run_request.job_id}", daemon=True).start()

    def cancel(self, mode: Mode) -> None:
        """Cancel the job between two steps. "discard" cannot be replaced by another mode."""
        if self._mode != "discard":
            self._mode = mode

    def discard(self) -> None:
        """Cancel the job because its worker has disconnected."""
        self.cancel("discard")

    def _run(self) -> None:
        began = time.monotonic()
        client_id = f"{self.name}-{uuid.uuid4().hex}"
        progress_socket = self.connect(client_id)
        last: Done | Failed
        try:
            last = self._generate_all(progress_socket, client_id, began)
        except Exception as error:
            if isinstance(error, MissingModel | Rejected):  # the server may have changed
                self.poller.request()
            last = self._failed(error, began)
        finally:
            progress_socket.close()
            self.ended.set()
        self.on_event(last)

    def _environment(self) -> Environment:
        """What is known of the server; it does not tell the versions of its libraries."""
        server = self.poller.inventory
        return Environment(
            version=own_version(),
            protocol=PROTOCOL_VERSION,
            device=server.device[:200],
            packages={"comfyui": server.version[:200]} if server.version else {},
        )

    def _generate_all(self, progress_socket: ProgressSocket, client_id: str, began: float) -> Done:
        self.on_event(Accepted(job_id=self.run_request.job_id, environment=self._environment()))
        inventory = self.poller.inventory
        if not inventory.nodes:
            raise NotQueued("the inventory of the server is not known yet")
        workflow = check(self.run_request, inventory)
        image_sets = input_images.image_sets(self.run_request)
        uploads = [self._upload_set(image_set) for image_set in image_sets]
        progress_socket.start()
        for index in range(self.run_request.request.num_images):
            if self._mode in ("discard", "interrupt"):
                break
            self._mode = None
            number = index if len(image_sets) > 1 else 0
            self._generate(progress_socket, client_id, workflow, index, image_sets[number], uploads[number])
        if self._mode == "discard":
            raise Cancelled
        return self._work(began)

    def _work(self, began: float) -> Done:
        return Done(
            engine_seconds=time.monotonic() - began,
            device_seconds=self.device_seconds,
            steps_run=self.steps_run,
            images_drawn=self.images_drawn,
            images_cached=self.images_cached,
        )

    def _generate(
        self,
        progress_socket: ProgressSocket,
        client_id: str,
        workflow: Workflow,
        index: int,
        image_set: ImageSet,
        uploaded: UploadedInputs,
    ) -> None:
        prefix = f"{FOLDER}/{self.run_request.job_id}-{index}"
        graph = graph_of(self.run_request, workflow, self.poller.inventory, index, uploaded, prefix)
        counter = StepCounter(graph, self.poller.inventory.nodes)
        prompt = PromptRun(
            client=self.client,
            progress_socket=progress_socket,
            graph=graph,
            prompt_id=str(uuid.uuid4()),
            client_id=client_id,
            output_node=workflow.output_node,
            counter=counter,
            timeout_s=self.timeout_s,
            stopping=lambda: self._mode is not None,
            on_progress=lambda preview: self._progress(counter, preview, index),
        )
        posted_at = time.monotonic()
        try:
            outcome = prompt.run()
            files = self._download(outcome)
        except Cancelled as cancelled:
            if self._mode is None:
                raise PromptLost("another client of this ComfyUI interrupted the prompt") from None
            self.steps_run += counter.done
            self.images_drawn += counter.share
            self.device_seconds += cancelled.seconds
            return
        except PromptLost:
            files = self._saved_output(prefix, graph[workflow.output_node]["class_type"])
            outcome = Outcome((), seconds=time.monotonic() - posted_at)
        self.steps_run += counter.steps_run(outcome.cached)
        if counter.is_cached(outcome.cached):
            self.images_cached += 1
        else:
            self.images_drawn += 1
        self.device_seconds += outcome.seconds
        if workflow.output == "video":
            self._deliver_video(index, *files)
        else:
            self._deliver(index, image_set.finish(outputs.still_image(files[0])))

    def _upload_set(self, image_set: ImageSet) -> UploadedInputs:
        mask = image_set.mask
        return UploadedInputs(
            init=self._upload(image_set.canvas.frame) if image_set.canvas else "",
            mask=self._upload(mask.convert("RGB")) if mask else "",
            controls=[self._upload(image) for image in image_set.controls],
        )

    def _upload(self, image: PILImage.Image) -> str:
        """Upload an image under the hash of its content, so that equal images are stored once."""
        data = images.png(image)
        name = f"{hashlib.sha256(data).hexdigest()}.png"
        for attempt in range(3):
            try:
                return self.client.upload(name, data)
            except ServerTimeout as error:
                if attempt == 2:
                    raise NotQueued(str(error)) from error
        raise AssertionError("not reached")

    # Outputs -------------------------------------------------------------------------------------------------------

    def _download(self, outcome: Outcome) -> tuple[bytes, bytes]:
        """Return the first output, and an image that shows it if the server has one."""
        if outcome.images:
            return outcome.images[0], b""
        if not outcome.files:
            raise InvalidRequest("the workflow did not output an image or video")
        first = outcome.files[0]
        poster = outputs.poster_of(first)
        return self._view(*outputs.location(first)), self._view_if_there(poster) if poster else b""

    def _view(self, *location: str) -> bytes:
        deadline = time.monotonic() + self.timeout_s
        while True:
            try:
                return self.client.view(*location)
            except OutputTooLarge as error:
                raise InvalidRequest(
                    f"the output of the workflow is larger than {MAX_OUTPUT_BYTES // 2**20} MiB"
                ) from error
            except Rejected as error:
                raise PromptLost("the output was deleted on the ComfyUI server") from error
            except ServerTimeout as error:
                if time.monotonic() >= deadline:
                    raise PromptLost("ComfyUI stopped responding") from error
                time.sleep(min(1.0, self.timeout_s / 4))

    def _view_if_there(self, location: tuple[str, str, str]) -> bytes:
        try:
            return self.client.view(*location)
        except (ServerTimeout, Rejected, OutputTooLarge):
            return b""

    def _saved_output(self, prefix: str, class_type: str) -> tuple[bytes, bytes]:
        """Return the output if it was saved before the server lost the prompt. Raises PromptLost."""
        folder, _slash, name = prefix.partition("/")
        saved = outputs.SAVED_NAMES.get(class_type)
        data = self._view_if_there((saved.format(name), folder, "output")) if saved else b""
        if not data:
            raise PromptLost("ComfyUI restarted or stopped responding, and lost the prompt")
        return data, b""

    def _deliver_video(self, index: int, data: bytes, poster: bytes) -> None:
        outputs.check_video(data)
        self._images_done += 1
        self.on_event(
            Video(
                index=index,
                seed=self.run_request.request.seed_of(index),
                data=base64.b64encode(data).decode(),
                poster=base64.b64encode(poster or self._newest_preview).decode(),
            )
        )

    def _deliver(self, index: int, image: PILImage.Image) -> None:
        self._images_done += 1
        data = base64.b64encode(images.png(image)).decode()
        seed = self.run_request.request.seed_of(index)
        self.on_event(Image(index=index, seed=seed, width=image.width, height=image.height, data=data))

    def _progress(self, counter: StepCounter, preview: bytes | None, index: int) -> None:
        self._newest_preview = preview or self._newest_preview
        done, steps = counter.done, counter.total
        every = self.run_request.request.preview_every
        shown = _encode_preview(preview) if preview and every and done % every == 0 else None
        if preview and shown is None:
            return
        count = self.run_request.request.num_images
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

    # Errors --------------------------------------------------------------------------------------------------------

    def _failed(self, error: Exception, began: float) -> Failed:
        code, message = errors.for_client(error)
        with logs.about(self.run_request.job_id):
            if code == "internal":
                log.error("job %s failed", self.run_request.job_id, exc_info=error)
            else:
                log.warning("job %s: %s: %s", self.run_request.job_id, code, error)
        of_workflow = self.run_request.workflow is not None and errors.is_of_workflow(
            error, self.run_request.workflow
        )
        return Failed(code=code, message=message, of_workflow=of_workflow, work=self._work(began))


def _encode_preview(data: bytes) -> str | None:
    try:
        small = images.read(data)
    except images.InvalidImage:  # previews are optional
        return None
    small.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=75)
    return base64.b64encode(file.getvalue()).decode()
