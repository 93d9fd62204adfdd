"""Storage of the videos of a job: checked, labeled, without foreign metadata, and with an image that shows them."""

from __future__ import annotations

import base64
import io

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from PIL import Image, ImageDraw

from gpu_runner.protocol import GenerationRequest, Video
from gpu_runner.protocol.images import files as image_files
from gpu_runner.protocol.video.media_types import ANIMATED, MP4, UnknownMedia, media_of
from jobs.images import storage, watermark
from jobs.images.labels import explicit, origin
from jobs.images.labels.implicit import ImplicitLabel, label_of
from jobs.models import Job, Output, OutputKind

from . import animation, labels, mp4, recoding, webm
from .facts import BadVideo, VideoFacts

FORMATS = {MP4: "mp4", "video/webm": "webm", "image/apng": "apng", "image/webp": "webp", "image/gif": "gif"}
PLAIN_GRAY = (96, 96, 96)  # of a video that nothing here can decode


def store_video(job: Job, request: GenerationRequest, video: Video, infotext: str) -> Output:
    """Store the file of one video. The Output row is not saved here. Raises BadVideo."""
    data = base64.b64decode(video.data)
    media_type = _media_type(data)
    label = label_of(job, request, storage.image_number(job, OutputKind.IMAGE, video.index))
    letterings = explicit.letterings(job.source, request, request.labels)
    if letterings and not labels.can_be_drawn(media_type):
        raise BadVideo(f"the required visible label cannot be drawn on a file of the type {media_type}")
    labeler = watermark.FrameLabeler(letterings)
    if media_type in ANIMATED:
        data, facts = animation.rewritten(data, media_type, labeler.drawn, label)
        shown = image_files.open_image(data, max_pixels=None)
    else:
        data, facts = _container(data, media_type, labeler, label)
        shown = _still(data, facts, labeler, base64.b64decode(video.poster))
    data = storage.sign(data, FORMATS[media_type], request, label.number)
    output = Output(
        index=video.index,
        width=facts.width,
        height=facts.height,
        frames=facts.frames,
        duration_s=facts.duration_s,
        seed=video.seed,
        infotext=infotext,
        visible_texts=[lettering.text for lettering in letterings],
    )
    output.perceptual_hash = origin.perceptual_hash(shown)
    storage.keep(output, job, data, FORMATS[media_type])
    if media_type not in ANIMATED:
        output.poster.name = default_storage.save(
            f"{output.file.name}.poster.webp", ContentFile(_webp(shown))
        )
    return output


def _media_type(data: bytes) -> str:
    try:
        media = media_of(data)
    except UnknownMedia as error:
        raise BadVideo(str(error)) from error
    if not media.moves:
        raise BadVideo(f"it is a still image ({media.type})")
    return media.type


def _container(
    data: bytes, media_type: str, labeler: watermark.FrameLabeler, label: ImplicitLabel
) -> tuple[bytes, VideoFacts]:
    form = mp4 if media_type == MP4 else webm
    form.facts(data)  # before anything decodes it
    if labeler.labels:
        data = recoding.rewritten(data, media_type, labeler.drawn)
    data = form.labeled(form.without_metadata(data), label.aigc_json, label.xmp)
    return data, form.facts(data)


def _still(data: bytes, facts: VideoFacts, labeler: watermark.FrameLabeler, poster: bytes) -> Image.Image:
    """The first frame if it can be decoded here, else the server's own image, with the labels, else a plain one."""
    if recoding.is_available():
        return recoding.sampled(data, 1)[0]
    try:
        return labeler.drawn(image_files.open_image(poster).convert("RGB"))
    except image_files.UnusableImage:
        return _plain(facts)


def _plain(facts: VideoFacts) -> Image.Image:
    image = Image.new("RGB", (facts.width, facts.height), PLAIN_GRAY)
    x, y, side = facts.width / 2, facts.height / 2, min(facts.width, facts.height) / 6
    ImageDraw.Draw(image).polygon([(x - side, y - side), (x - side, y + side), (x + side, y)], "white")
    return image


def _webp(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "WEBP", quality=90)
    return file.getvalue()


def shown_image(output: Output) -> bytes:
    """Return an image file that shows an output: its poster, or the file itself if it is an image."""
    if not output.poster:
        return storage.read_output(output)
    with output.poster.open("rb") as file:
        return file.read()
