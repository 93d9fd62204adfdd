"""Images for the tests of the gallery."""

import hashlib
import io
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.utils import timezone
from PIL import Image

from jobs.admission.admit import admit
from jobs.models import Job, Output, State


@pytest.fixture
def generated(submission):
    """Creates a succeeded job with images: ``generated("red", "blue", prompt=..., age=minutes)``. Returns the images."""

    def generated(*colors, age=0, size=(8, 8), nsfw=None, **fields):
        fields = {"num_images": max(1, len(colors))} | fields
        job = admit(submission(**fields))
        at = timezone.now() - timedelta(minutes=age)
        Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED, created_at=at)
        job.refresh_from_db()
        outputs = []
        for index, color in enumerate(colors):
            png = io.BytesIO()
            Image.new("RGB", size, color).save(png, "PNG")
            data = png.getvalue()
            digest = hashlib.sha256(data).hexdigest()
            output = Output(job=job, index=index, sha256=digest, size_bytes=len(data), nsfw=nsfw)
            output.width, output.height = size
            output.seed = job.generation_request.seed + index
            output.infotext = f"infotext of {color}"
            output.file.save(f"{job.pk}-{index}.png", ContentFile(data))
            outputs.append(output)
        return outputs

    return generated
