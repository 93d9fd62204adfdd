"""The data set of a training: images and captions as they were sent, checked and scaled down to what training needs.

Every problem is found before anything is stored or held, and told with the name of its file.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from django.utils.translation import gettext as _
from PIL import Image

from gpu_runner.protocol.images.files import few_at_a_time
from jobs.errors import InvalidImage, Refused
from jobs.images.input_files import MAX_INPUT_BYTES, check_image, open_image

MIN_IMAGES = 2
MIN_SIDE = 64
MAX_CAPTION = 4000  # characters
MAX_BYTES = 160 * 1024 * 1024  # of all images, as the trainer gets them
SCALED_TO = 2  # times the pixels of the resolution
JPEG_QUALITY = 95
CAPTION_SUFFIX = ".txt"
MAX_TOLD = 20


@dataclass(frozen=True)
class DatasetFile:
    """An image or a ``.txt`` file with the caption of the image of the same name. ``caption``: of an image."""

    name: str
    data: bytes
    caption: str = ""

    @property
    def is_caption(self) -> bool:
        return self.name.lower().endswith(CAPTION_SUFFIX)

    @property
    def stem(self) -> str:
        return str(PurePosixPath(self.name).with_suffix("")) if PurePosixPath(self.name).name else self.name


@dataclass(frozen=True)
class FileProblem:
    """Why a file of a data set cannot be used. ``file``: its name; empty: the data set as a whole."""

    file: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.message}" if self.file else self.message


class BadDataset(Refused):
    """The data set cannot be used. ``problems``: everything that is wrong with it."""

    code = "bad_dataset"

    def __init__(self, problems: Sequence[FileProblem], field: str = "images") -> None:
        self.problems = tuple(problems)
        told = "; ".join(str(problem) for problem in self.problems[:MAX_TOLD])
        if (more := len(self.problems) - MAX_TOLD) > 0:
            told += "; " + _("and %(count)d more problems") % {"count": more}
        super().__init__(told, field=field)


@dataclass(frozen=True)
class Dataset:
    """Checked images with their captions, by SHA-256, in the order in which they were sent."""

    captions: dict[str, str]
    files: dict[str, bytes] = field(repr=False)

    def __len__(self) -> int:
        return len(self.captions)


def checked(files: Iterable[DatasetFile], pixels: int, max_images: int) -> Dataset:
    """The data set of these files, for trainings at a resolution of ``pixels``. Raises BadDataset."""
    files = list(files)
    images = [file for file in files if not file.is_caption]
    problems = list(_wrong_number(len(images), max_images))
    if len(images) > max_images:  # decoding them all would only take time
        raise BadDataset(problems)
    captions, wrong = _captions([file for file in files if file.is_caption], images)
    problems += wrong
    dataset = Dataset({}, {})
    sent: dict[str, str] = {}  # SHA-256 of the file -> its name
    for file in images:
        try:
            _add(dataset, sent, file, file.caption or captions.get(file.stem, ""), pixels)
        except InvalidImage as error:
            problems.append(FileProblem(file.name, error.message))
    total = sum(map(len, dataset.files.values()))
    if total > MAX_BYTES:
        sizes = {"limit": MAX_BYTES >> 20, "size": total / 2**20}
        problems.append(
            FileProblem("", _("The images must have at most %(limit)d MB (got %(size).1f MB).") % sizes)
        )
    if problems:
        raise BadDataset(problems)
    return dataset


def _wrong_number(count: int, max_images: int) -> Iterator[FileProblem]:
    words = {"least": MIN_IMAGES, "limit": max_images, "count": count}
    if not MIN_IMAGES <= count <= max_images:
        message = _("A training needs %(least)d to %(limit)d images (got %(count)d).")
        yield FileProblem("", message % words)


def _captions(
    texts: list[DatasetFile], images: list[DatasetFile]
) -> tuple[dict[str, str], list[FileProblem]]:
    """Captions by the name of their image without its suffix, and the problems with them."""
    stems = {image.stem for image in images}
    captions: dict[str, str] = {}
    problems = []
    for text in texts:
        if text.stem not in stems:
            problems.append(FileProblem(text.name, _("There is no image with this name.")))
            continue
        try:
            caption = text.data.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            problems.append(FileProblem(text.name, _("A caption must be text in UTF-8.")))
            continue
        if len(caption) > MAX_CAPTION or "\0" in caption:
            message = _("A caption must be text of at most %(limit)d characters.") % {"limit": MAX_CAPTION}
            problems.append(FileProblem(text.name, message))
            continue
        captions[text.stem] = caption
    return captions, problems


def _add(dataset: Dataset, sent: dict[str, str], file: DatasetFile, caption: str, pixels: int) -> None:
    """Add an image. Raises InvalidImage."""
    digest = hashlib.sha256(file.data).hexdigest()
    if digest in sent:
        raise InvalidImage(_("The same image as %(name)s.") % {"name": sent[digest]})
    sent[digest] = file.name
    check_image(file.data)
    data = _checked(file.data, pixels * SCALED_TO)
    digest = hashlib.sha256(data).hexdigest()
    dataset.captions[digest], dataset.files[digest] = caption, data


@few_at_a_time
def _checked(data: bytes, pixels: int) -> bytes:
    """The file as it is kept, with about so many pixels at most. Raises InvalidImage for one that is too small."""
    image = open_image(data)
    if min(image.size) < MIN_SIDE:
        words = {"least": MIN_SIDE, "width": image.width, "height": image.height}
        raise InvalidImage(
            _("An image must have at least %(least)d pixels per side (got %(width)d × %(height)d).") % words
        )
    return _scaled(image, data, pixels)


def _scaled(image: Image.Image, data: bytes, pixels: int) -> bytes:
    """The file itself if it has at most so many pixels, else a smaller one with the same aspect ratio."""
    factor = (pixels / (image.width * image.height)) ** 0.5
    if factor >= 1 and len(data) <= MAX_INPUT_BYTES // 8:
        return data
    if factor < 1:
        size = (max(MIN_SIDE, round(image.width * factor)), max(MIN_SIDE, round(image.height * factor)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if image.mode == "RGBA":
        image.save(file, "PNG")
    else:
        image.convert("RGB").save(file, "JPEG", quality=JPEG_QUALITY)
    return file.getvalue()
