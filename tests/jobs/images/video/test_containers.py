"""Video files: facts, labels in their metadata and on their frames, and nothing else of the server's metadata."""

import io
import struct
from fractions import Fraction

import numpy as np
import pytest
from django.test import RequestFactory
from PIL import Image

from gpu_runner.protocol.video.media_types import APNG, GIF, MP4, WEBM, WEBP
from jobs.images.labels import reading
from jobs.images.labels.explicit import Lettering
from jobs.images.labels.implicit import ImplicitLabel
from jobs.images.video import animation, mp4, recoding, webm
from jobs.images.video.facts import BadVideo, VideoFacts
from jobs.images.video.ranges import file_response
from jobs.images.watermark import FrameLabeler
from tests.support.comfyui_outputs import animation as animated
from tests.support.comfyui_outputs import circle, clip

CLIPS = [("circle.mp4", mp4), ("circle.webm", webm)]
LABEL = ImplicitLabel({"Label": "1", "ContentProducer": "花店", "ProduceID": "job-0"}, number="job-0")
LETTERING = Lettering("AI生成", "bottom-right", 0.9, 0.2, required=True)
SIZE = (160, 120)


@pytest.mark.parametrize(("name", "form"), CLIPS, ids=["mp4", "webm"])
def test_facts_are_read_from_the_container(name, form):
    facts = form.facts(clip(name))
    assert facts == VideoFacts(64, 48, 12, 1.5)
    assert facts.fps == 8


@pytest.mark.parametrize(("name", "form"), CLIPS, ids=["mp4", "webm"])
def test_graph_of_the_operator_is_removed_and_the_label_added(name, form):
    original = clip(name)
    assert b"a secret of the operator" in original
    cleaned = form.without_metadata(original)
    assert b"secret" not in cleaned
    labeled = form.labeled(cleaned, LABEL.aigc_json, LABEL.xmp)
    assert form.facts(labeled) == form.facts(original)
    if form is mp4:
        assert mp4.aigc_of(labeled) == LABEL.aigc_json
        assert mp4.xmp_of(labeled) == LABEL.xmp
    else:
        assert webm.tags_of(labeled) == {"AIGC": LABEL.aigc_json, "XMP": LABEL.xmp.decode()}


def test_index_before_the_frames_keeps_their_offsets_true():
    """ffmpeg's ``faststart``: the index grows by the label, and all frames move."""
    data = clip("circle.mp4")
    top = {box.kind: box for box in mp4._boxes(data)}
    media, movie = top[b"mdat"], top[b"moov"]
    index = bytearray(data[movie.start : movie.end])
    shift = len(index)
    at = index.index(b"stco")
    (count,) = struct.unpack_from(">I", index, at + 8)
    old = struct.unpack_from(f">{count}I", index, at + 12)
    struct.pack_into(f">{count}I", index, at + 12, *(place + shift for place in old))
    fast = data[: media.start] + bytes(index) + data[media.start : media.end]
    labeled = mp4.labeled(fast, LABEL.aigc_json, b"")
    at = labeled.index(b"stco")
    moved = struct.unpack_from(f">{count}I", labeled, at + 12)
    for before, after in zip(old, moved, strict=True):
        assert labeled[after : after + 8] == data[before : before + 8]


@pytest.mark.parametrize(("name", "form"), CLIPS, ids=["mp4", "webm"])
def test_damaged_files_are_told_from_others(name, form):
    data = clip(name)
    for end in range(0, len(data), 61):
        try:
            form.facts(data[:end])
            form.labeled(form.without_metadata(data[:end]), LABEL.aigc_json, LABEL.xmp)
        except BadVideo:
            continue
    rng = np.random.default_rng(0)
    for _round in range(150):
        broken = bytearray(data)
        for place in rng.integers(0, len(data), 6):
            broken[place] = rng.integers(0, 256)
        try:
            form.facts(bytes(broken))
            form.labeled(form.without_metadata(bytes(broken)), LABEL.aigc_json, LABEL.xmp)
        except BadVideo:
            continue


@pytest.mark.parametrize(("kind", "media_type"), [("WEBP", WEBP), ("PNG", APNG), ("GIF", GIF)])
def test_every_frame_of_an_animation_gets_the_label(kind, media_type):
    frames = [circle(SIZE, index * 4) for index in range(4)]
    original = animated(frames, kind, fps=10, prompt="a secret of the operator")
    data, facts = animation.rewritten(original, media_type, FrameLabeler([LETTERING]).drawn, LABEL)
    assert facts == VideoFacts(*SIZE, 4, 0.4)
    assert b"secret" not in data
    with Image.open(io.BytesIO(data)) as opened:
        assert opened.n_frames == 4
        for index, before in enumerate(frames):
            opened.seek(index)
            assert _label_is_drawn(before, opened.convert("RGB"))
        if kind == "GIF":
            assert b"XMP DataXMP" + LABEL.xmp + b"\x01\xff\xfe" in data
        else:
            assert reading.read(opened).aigc == LABEL.aigc


def _label_is_drawn(before: Image.Image, after: Image.Image) -> bool:
    """The corner has changed, and the rest has not, but for rounding of colors."""
    difference = np.abs(np.asarray(before).astype(int) - np.asarray(after).astype(int)).max(axis=2)
    corner = difference[80:, 80:]
    return bool(corner.max() > 100 and np.median(difference[:60, :60]) <= 8)


@pytest.mark.parametrize(("name", "form", "kind"), [(*CLIPS[0], MP4), (*CLIPS[1], WEBM)], ids=["mp4", "webm"])
def test_every_frame_of_a_video_gets_the_label(name, form, kind):
    pytest.importorskip("av")
    label = Lettering("AI生成", "bottom-right", 0.9, 0.3, required=True)
    data = recoding.rewritten(clip(name), kind, FrameLabeler([label]).drawn)
    assert form.facts(data)[:3] == (64, 48, 12)
    assert form.facts(data).duration_s == pytest.approx(1.5, abs=0.05)
    frames, originals = recoding.sampled(data, 12), recoding.sampled(clip(name), 12)
    assert len(frames) == 12
    for before, after in zip(originals, frames, strict=True):
        difference = np.abs(np.asarray(before).astype(int) - np.asarray(after).astype(int))
        assert difference[30:, 30:].max() > 100
        assert np.median(difference[:20, :30]) < 12


@pytest.mark.parametrize(("name", "form", "kind"), [(*CLIPS[0], MP4), (*CLIPS[1], WEBM)], ids=["mp4", "webm"])
def test_sound_and_the_number_of_frames_are_kept(name, form, kind):
    av = pytest.importorskip("av")
    original = _with_sound(clip(name), kind)
    data = recoding.rewritten(original, kind, lambda image: image)
    assert form.facts(data)[:3] == form.facts(original)[:3] == (64, 48, 12)
    with av.open(io.BytesIO(data)) as video:
        assert len(list(video.decode(video=0))) == 12
    with av.open(io.BytesIO(data)) as video:
        assert sum(frame.samples for frame in video.decode(audio=0)) >= 48_000


def _with_sound(data: bytes, kind: str) -> bytes:
    """The video with 1.5 seconds of a tone."""
    import av

    target = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(target, "w", format="mp4" if kind == MP4 else "webm") as result,
    ):
        video = result.add_stream_from_template(source.streams.video[0])
        sound = result.add_stream("aac" if kind == MP4 else "libopus", rate=48_000)
        sound.layout = "mono"
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                result.mux(packet)
        for start in range(0, 72_000, 960):
            samples = (np.sin(np.arange(start, start + 960) / 20) * 8000).astype("int16")
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
            result.mux(sound.encode(frame))
        result.mux(sound.encode(None))
    return target.getvalue()


def test_what_pretends_to_be_a_video_cannot_be_encoded():
    pytest.importorskip("av")
    with pytest.raises(BadVideo):
        recoding.rewritten(b"\0\0\0\x18ftypisom" + bytes(500), MP4, lambda image: image)


@pytest.mark.parametrize(
    ("asked", "status", "content", "told"),
    [
        ("", 200, b"0123456789", None),
        ("bytes=0-", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-99", 206, b"789", "bytes 7-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=4-2", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=1-2", 200, b"0123456789", None),
    ],
)
def test_players_get_the_part_that_they_ask_for(asked, status, content, told):
    request = RequestFactory().get("/", headers={"Range": asked} if asked else {})
    response = file_response(request, io.BytesIO(b"0123456789"), MP4, 10)
    assert response.status_code == status
    assert (response.getvalue() if status != 416 else response.content) == content
    assert response.get("Content-Range") == told
    if status != 416:
        assert response["Content-Type"] == MP4
        assert response["Accept-Ranges"] == "bytes"
