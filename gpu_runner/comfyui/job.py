"""One job on a ComfyUI server, in a thread: one prompt per image, one after the other.

Images are batched only by a template with a slot for the batch size, because in a batch of ComfyUI an image depends on more
than its own seed. All images of a prompt are delivered, also where the graph draws more than one.
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

from PIL import Image as PILImage

from gpu_runner import logs
from gpu_runner.comfyui.client import ComfyClient, Rejected, ServerTimeout
from gpu_runner.comfyui.inventory_poller import InventoryPoller
from gpu_runner.imaging import images
from gpu_runner.protocol import (
    PROTOCOL_VERSION,
    Accepted,
    CancelMode,
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
from .downloads import Download, Downloads
from .graph import MissingModel, UploadedInputs, check, graph_of
from .input_images import ImageSet
from .progress_socket import ProgressSocket
from .prompt_execution import Cancelled, NotQueued, Outcome, PromptLost, PromptRun
from .step_counter import StepCounter

log = logging.getLogger(__name__)

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
    _mode: CancelMode | None = None
    _images_done: int = 0
    _next_index: int = 0
    _extras: int = 0
    _newest_preview: bytes = b""

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name=f"job-{self.run_request.job_id}", daemon=True).start()

    def cancel(self, mode: CancelMode) -> None:
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
        references = [self._upload(image) for image in input_images.references(self.run_request)]
        uploads = [self._upload_set(image_set, references) for image_set in image_sets]
        progress_socket.start()
        has_own_images = len(image_sets) > 1
        for images_of_prompt in self._batches(workflow, has_own_images):
            if self._mode in ("discard", "interrupt"):
                break
            if self._next_index >= images_of_prompt.stop and not has_own_images:
                continue  # the graph draws several images for each prompt
            self._mode = None
            number = images_of_prompt.start if has_own_images else 0
            self._generate(
                progress_socket, client_id, workflow, images_of_prompt, image_sets[number], uploads[number]
            )
        if self._mode == "discard":
            raise Cancelled
        return self._work(began)

    def _batches(self, workflow: Workflow, has_own_images: bool) -> list[range]:
        """Images of the job by prompt: one each, unless the template has a slot for the batch size."""
        request = self.run_request.request
        batches = "batch_size" in workflow.slots and not has_own_images
        size, count = request.batch_size if batches else 1, request.num_images
        return [range(start, min(start + size, count)) for start in range(0, count, size)]

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
        indexes: range,
        image_set: ImageSet,
        uploaded: UploadedInputs,
    ) -> None:
        prefix = f"{FOLDER}/{self.run_request.job_id}-{indexes.start}"
        graph = graph_of(self.run_request, workflow, self.poller.inventory, indexes, uploaded, prefix)
        counter = StepCounter(graph, self.poller.inventory.nodes)
        prompt = PromptRun(
            client=self.client,
            progress_socket=progress_socket,
            graph=graph,
            prompt_id=str(uuid.uuid4()),
            client_id=client_id,
            workflow=workflow,
            counter=counter,
            timeout_s=self.timeout_s,
            stopping=lambda: self._mode is not None,
            on_progress=lambda preview: self._progress(counter, preview, indexes),
        )
        posted_at = time.monotonic()
        extras: list[PILImage.Image] = []
        try:
            outcome = prompt.run()
            if not outcome.results:
                raise InvalidRequest("the workflow did not output an image or video")
            results = [self._downloads.of(result) for result in outcome.results]
            extras = [outputs.still_image(self._downloads.of(extra).data) for extra in outcome.extras]
        except Cancelled as cancelled:
            if self._mode is None:
                raise PromptLost("another client of this ComfyUI interrupted the prompt") from None
            self.steps_run += counter.done
            self.images_drawn += counter.share * len(indexes)
            self.device_seconds += cancelled.seconds
            return
        except PromptLost:
            if len(indexes) > 1 or len(workflow.output_nodes) > 1 or workflow.extra_nodes:
                raise  # how many images there would be is not known
            results = [self._downloads.saved(prefix, graph[workflow.output_nodes[0]]["class_type"])]
            outcome = Outcome((), seconds=time.monotonic() - posted_at)
        self.steps_run += counter.steps_run(outcome.cached)
        if counter.is_cached(outcome.cached):
            self.images_cached += len(indexes)
        else:
            self.images_drawn += len(indexes)
        self.device_seconds += outcome.seconds
        if workflow.output == "video":
            self._deliver_videos(indexes, results)
            self._deliver(indexes, [], extras)
        else:
            images_drawn = [image_set.finish(outputs.still_image(result.data)) for result in results]
            self._deliver(indexes, images_drawn, extras)

    def _upload_set(self, image_set: ImageSet, references: list[str]) -> UploadedInputs:
        mask = image_set.mask
        return UploadedInputs(
            init=self._upload(image_set.canvas.frame) if image_set.canvas else "",
            mask=self._upload(mask.convert("RGB")) if mask else "",
            controls=[self._upload(image) for image in image_set.controls],
            references=references,
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

    @property
    def _downloads(self) -> Downloads:
        return Downloads(self.client, self.timeout_s)

    def _deliver_videos(self, indexes: range, results: list[Download]) -> None:
        first = max(indexes.start, self._next_index)
        self._next_index = first + len(results)
        seed = self.run_request.request.seed_of(indexes.start)
        for index, result in enumerate(results, first):
            outputs.check_video(result.data)
            self._images_done += 1
            data = base64.b64encode(result.data).decode()
            poster = base64.b64encode(result.poster or self._newest_preview).decode()
            self.on_event(Video(index=index, seed=seed, data=data, poster=poster))

    def _deliver(self, indexes: range, results: list[PILImage.Image], extras: list[PILImage.Image]) -> None:
        """Send the images of a prompt. They share its seed, which is what draws them again."""
        first = max(indexes.start, self._next_index)
        self._next_index = first + len(results)
        self._images_done += len(results)
        seed = self.run_request.request.seed_of(indexes.start)
        for index, image in enumerate(results, first):
            self._send(image, index, seed)
        for image in extras:
            self._send(image, self._extras, seed, extra=True)
            self._extras += 1

    def _send(self, image: PILImage.Image, index: int, seed: int, *, extra: bool = False) -> None:
        data = base64.b64encode(images.png(image)).decode()
        width, height = image.size
        self.on_event(Image(index=index, seed=seed, width=width, height=height, data=data, extra=extra))

    def _progress(self, counter: StepCounter, preview: bytes | None, indexes: range) -> None:
        self._newest_preview = preview or self._newest_preview
        done, steps = counter.done, counter.total
        every = self.run_request.request.preview_every
        shown = _encode_preview(preview) if preview and every and done % every == 0 else None
        if preview and shown is None:
            return
        size = len(indexes)
        self.on_event(
            Progress(
                step=steps * indexes.start + done * size,
                steps=steps * self.run_request.request.num_images,
                images_done=self._images_done,
                batch=indexes.start // size,
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
