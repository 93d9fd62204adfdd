"""Data sets of trainings: what is accepted, and one list of what is wrong."""

import io
import zipfile

import pytest
from PIL import Image

from jobs.training import archive
from jobs.training.dataset import BadDataset, DatasetFile, checked
from tests.support.training_jobs import pink_discs

PIXELS = 128 * 128


def image(side: int = 100, color: str = "red", file_format: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, file_format)
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return file.getvalue()


def problems(files: list[DatasetFile], most: int = 10) -> list[tuple[str, str]]:
    with pytest.raises(BadDataset) as caught:
        checked(files, PIXELS, most)
    return [(problem.file, problem.message) for problem in caught.value.problems]


def test_captions_beside_images_belong_to_the_image_of_the_same_name():
    first, second = pink_discs(2)
    files = archive.files_of(
        zipped(**{"set/a.png": first, "set/b.png": second, "set/b.txt": "\ufeffa disc\n".encode()})
    )
    assert list(checked(files, PIXELS, 10).captions.values()) == ["", "a disc"]


def test_one_list_tells_what_is_wrong_with_which_file():
    files = [
        DatasetFile("a.png", image()),
        DatasetFile("twin.png", image()),
        DatasetFile("small.png", image(63, "blue")),
        DatasetFile("text.png", b"not an image"),
        DatasetFile("lost.txt", b"a caption"),
        DatasetFile("a.txt", b"\xff\xfe"),
    ]
    found = dict(problems(files))
    assert found.keys() == {"twin.png", "small.png", "text.png", "lost.txt", "a.txt"}
    assert "a.png" in found["twin.png"]
    assert "63 × 63" in found["small.png"]


@pytest.mark.parametrize("count", [0, 1, 11])
def test_number_of_images_is_bounded(count):
    files = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(count))]
    [(file, message)] = problems(files)
    assert (file, message) == ("", f"A training needs 2 to 10 images (got {count}).")


def test_large_images_are_scaled_to_what_training_needs():
    large = [DatasetFile(f"{n}.png", data) for n, data in enumerate(pink_discs(2, side=1000))]
    for data in checked(large, PIXELS, 10).files.values():
        with Image.open(io.BytesIO(data)) as scaled:
            assert 1.9 * PIXELS < scaled.width * scaled.height < 2.1 * PIXELS
    small = pink_discs(2)
    assert [
        *checked([DatasetFile(str(n), s) for n, s in enumerate(small)], PIXELS, 10).files.values()
    ] == small


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("../a.png", b"x", "leads out"),
        ("/etc/a.png", b"x", "leads out"),
        ("a\\..\\b.png", b"x", "leads out"),
        ("inner.zip", b"x", "Archives in archives"),
        ("bomb.png", bytes(20 * 1024 * 1024), "more than 100 times"),
        ("huge.png", bytes(33 * 1024 * 1024), "at most 32 MB"),
    ],
    ids=["parent", "root", "backslash", "nested", "bomb", "huge"],
)
def test_archive_is_refused_by_the_name_of_the_file(name, data, message):
    with pytest.raises(BadDataset) as caught:
        archive.files_of(zipped(**{name: data}))
    [problem] = caught.value.problems
    assert problem.file == name
    assert message in problem.message


@pytest.mark.parametrize(
    "data", [b"", b"PK\x03\x04 truncated", zipped(a=b"x" * 3000)[:-30]], ids=["empty", "begun", "cut off"]
)
def test_damaged_archive_is_refused(data):
    with pytest.raises(BadDataset):
        archive.files_of(data)


def test_archive_with_too_many_files_is_refused():
    with pytest.raises(BadDataset, match="at most 1000 files"):
        archive.files_of(zipped(**{f"{n}.txt": b"" for n in range(1001)}))


def test_files_of_operating_systems_are_ignored():
    data = zipped(**{"__MACOSX/._a.png": b"x", ".DS_Store": b"x", "a.png": image()})
    assert [file.name for file in archive.files_of(data)] == ["a.png"]
