"""MP4 and WebM files, decoded and encoded again by PyAV, where it is installed (the extra ``video``)."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable, Iterator
from typing import Any

from PIL import Image

from gpu_runner.protocol.video.media_types import MP4

from .facts import BadVideo

MP4_CODEC, WEBM_CODEC = "libx264", "libvpx-vp9"
OPTIONS = {MP4_CODEC: {"crf": "17", "preset": "medium"}, WEBM_CODEC: {"crf": "24", "b": "0", "row-mt": "1"}}


def is_available() -> bool:
    """Whether videos can be decoded and encoded here."""
    return importlib.util.find_spec("av") is not None


def rewritten(data: bytes, media_type: str, draw: Callable[[Image.Image], Image.Image]) -> bytes:
    """Return the video with each frame drawn upon by ``draw``; its sound is copied. Raises BadVideo."""
    import av

    target = io.BytesIO()
    try:
        with (
            av.open(io.BytesIO(data)) as source,
            av.open(target, "w", format="mp4" if media_type == MP4 else "webm") as result,
        ):
            _copy(source, result, MP4_CODEC if media_type == MP4 else WEBM_CODEC, draw)
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise BadVideo(f"it cannot be encoded again ({type(error).__name__})") from error
    return target.getvalue()


def _copy(source: Any, result: Any, codec: str, draw: Callable[[Image.Image], Image.Image]) -> None:
    import av

    video = source.streams.video[0]
    encoder = result.add_stream(codec, rate=video.average_rate or video.guessed_rate)
    encoder.width, encoder.height, encoder.pix_fmt = video.width, video.height, "yuv420p"
    encoder.time_base = encoder.codec_context.time_base = video.time_base
    encoder.options = OPTIONS[codec]
    sounds = {one.index: result.add_stream_from_template(one) for one in source.streams.audio[:1]}
    for packet in source.demux([video, *source.streams.audio[:1]]):
        if packet.stream.index in sounds:
            if packet.dts is not None:
                packet.stream = sounds[packet.stream.index]
                result.mux(packet)
            continue
        for frame in packet.decode():
            drawn = av.VideoFrame.from_image(draw(frame.to_image()))
            drawn.pts, drawn.time_base = frame.pts, frame.time_base
            result.mux(encoder.encode(drawn))
    result.mux(encoder.encode(None))


def sampled(data: bytes, count: int) -> list[Image.Image]:
    """Return up to ``count`` frames, spread over the video, the first included. Raises BadVideo."""
    import av

    try:
        with av.open(io.BytesIO(data)) as source:
            frames = source.streams.video[0].frames or count
            return list(_every(source.decode(video=0), max(1, frames // count), count))
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise BadVideo(f"it cannot be decoded ({type(error).__name__})") from error


def _every(frames: Iterator[Any], step: int, count: int) -> Iterator[Image.Image]:
    taken = 0
    for number, frame in enumerate(frames):
        if number % step == 0:
            yield frame.to_image()
            taken += 1
        if taken == count:
            return
