"""The images of a training, for another one: they need not be uploaded again as long as they are stored."""

from __future__ import annotations

from django.utils.translation import gettext as _

from gpu_runner.protocol.request_parts.training import TrainingImage
from jobs.images import storage
from jobs.models import InputPicture, Training

from .dataset import BadDataset, DatasetFile, FileProblem

FIELD = "images_of"


def images_of(training: Training) -> tuple[TrainingImage, ...]:
    settings = training.job.generation_request.training
    return settings.images if settings else ()


def are_stored(training: Training) -> bool:
    """Whether retention has left all images of a training."""
    wanted = {image.image.sha256 for image in images_of(training)}
    return InputPicture.objects.filter(pk__in=wanted).count() == len(wanted)


def files_of(training: Training) -> list[DatasetFile]:
    """The images with their captions. Raises BadDataset if one of them is no longer stored."""
    files = []
    for number, image in enumerate(images_of(training)):
        name = f"{FIELD}.{number}"
        try:
            files.append(DatasetFile(name, storage.read_input(image.image.sha256), image.caption))
        except (InputPicture.DoesNotExist, OSError):
            message = _("The images of this training are no longer stored.")
            raise BadDataset([FileProblem(name, message)], FIELD) from None
    return files
