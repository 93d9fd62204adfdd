"""Videos in the console: players, their image, parts of the file, archives, and what cannot be done with them."""

import base64
import io
import zipfile

import pytest
from django.urls import reverse
from PIL import Image

from gpu_runner.protocol import Video
from gpu_runner.protocol.request_parts.video import Video as VideoSettings
from jobs.images.labels.implicit import NONE
from jobs.images.video import animation
from jobs.images.video.storage import store_video
from jobs.models import Job
from tests.support.comfyui_outputs import animation as animated
from tests.support.comfyui_outputs import circle, clip

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


@pytest.fixture
def stored(generated):
    """Stores a video as the only output of a succeeded job."""

    def stored(data: bytes):
        generated()
        job = Job.objects.latest("created_at")
        request = job.generation_request.model_copy(update={"video": VideoSettings()})
        video = Video(index=0, seed=1, data=base64.b64encode(data).decode())
        output = store_video(job, request, video, "infotext of a video")
        output.save()
        return output

    return stored


def test_job_page_and_gallery_have_a_player(stored, ops):
    output = stored(clip("circle.mp4"))
    page = ops.get(reverse("admin:jobs_job_change", args=[output.job_id])).content.decode()
    assert f'<video src="{reverse("admin:jobs_job_image", args=[output.job_id, 0])}"' in page
    assert "12 frames, 1.5 s, 8 fps" in page
    gallery = ops.get("/admin/gallery/").content.decode()
    assert "data-video" in gallery
    assert reverse("admin:jobs_job_thumbnail", args=[output.job_id, 0]) in gallery


def test_animated_image_is_shown_as_an_image(stored, ops):
    output = stored(animated([circle((64, 48), index) for index in range(3)], "WEBP"))
    page = ops.get(reverse("admin:jobs_job_change", args=[output.job_id])).content.decode()
    assert "<video" not in page
    assert "3 frames" in page
    data, _facts = animation.rewritten(output.file.read(), "image/webp", lambda image: image, NONE)
    assert len(animation.sampled(data, 8)) == 3


def test_player_gets_parts_and_the_thumbnail_is_an_image(stored, ops):
    output = stored(clip("circle.webm"))
    address = reverse("admin:jobs_job_image", args=[output.job_id, 0])
    part = ops.get(address, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.getvalue(), part["Content-Type"]) == (
        206,
        b"\x1a\x45\xdf\xa3",
        "video/webm",
    )
    small = ops.get(reverse("admin:jobs_job_thumbnail", args=[output.job_id, 0]))
    with Image.open(io.BytesIO(small.content)) as thumbnail:
        assert thumbnail.size == (64, 48)


def test_archive_has_the_video_under_its_ending(stored, ops):
    output = stored(clip("circle.mp4"))
    response = ops.post("/admin/gallery/do/", {"action": "download", "_selected_action": [output.pk]})
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    (name,) = archive.namelist()
    assert name.endswith(".mp4")
    assert archive.read(name) == output.file.read()


def test_video_is_neither_upscaled_nor_compared_nor_drawn_again(stored, ops):
    first, second = stored(clip("circle.mp4")), stored(clip("circle.mp4"))
    answer = ops.post(
        "/admin/gallery/do/", {"action": "upscale", "_selected_action": [first.pk]}, follow=True
    )
    assert "Videos cannot be upscaled" in answer.content.decode()
    compared = ops.get(reverse("admin:jobs_job_compare", args=[first.job_id, second.job_id]))
    assert "Videos are not compared" in compared.content.decode()
    capsule = ops.get(reverse("admin:jobs_job_capsule", args=[first.job_id, 0]))
    assert capsule.status_code == 200
