"""Models of a request that work on pixels: upscalers and face restorers."""

from __future__ import annotations

from gpu_runner.models.store import ModelStore
from gpu_runner.networks.loaded import LoadedUpscaler
from gpu_runner.protocol import RunRequest
from gpu_runner.protocol.catalogs import upscalers as upscaler_catalog
from gpu_runner.protocol.request_parts.details import FaceRestoration
from gpu_runner.tasks.face_restoration import Restoration


def load_upscaler(store: ModelStore, run_request: RunRequest, name: str) -> LoadedUpscaler | str:
    """Return the upscaler model if the name refers to a file, else the name of the interpolation."""
    file = upscaler_catalog.file_of(name)
    return store.upscaler(run_request.file("upscaler", file)) if file else name or upscaler_catalog.LANCZOS


def restoration(
    store: ModelStore, run_request: RunRequest, part: FaceRestoration | None
) -> Restoration | None:
    """Load the models of a face restoration; None if it has no effect."""
    if part is None or part.visibility == 0:
        return None
    detector = store.onnx.face_detector(run_request.file("face_detector", part.detector))
    restorer = store.face_restorer(run_request.file("face_restorer", part.model))
    return Restoration(detector, restorer, part.visibility)
