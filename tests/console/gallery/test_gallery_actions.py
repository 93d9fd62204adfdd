"""Actions of the gallery: favorites, download, variations, upscaling and removal."""

import io
import zipfile

import pytest
from django.core.files.storage import default_storage

from access.models import AccessKey
from console.gallery import views, zip_archive
from console.models import AuditEntry, Favorite
from jobs.images.input_files import open_image
from jobs.images.storage import read_input
from jobs.models import Job, Output, OutputKind
from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow

GALLERY = "/admin/gallery/"


@pytest.fixture
def act(ops):
    """``act("remove", *images)``: selects the images and runs the action."""

    def act(action, *outputs, client=ops, **options):
        form = {"action": action, "_selected_action": [getattr(each, "pk", each) for each in outputs]}
        return client.post(f"{GALLERY}do/", form | options)

    return act


def archive_in(response) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))


def texts_of(response) -> list[str]:
    return [str(message) for message in response.wsgi_request._messages]


# Favorites and download -------------------------------------------------------------------------------------------


def test_favorite_is_added_once_and_removed(act, generated, admin_user):
    red, blue = generated("red", "blue")
    act("favorite", red)
    act("favorite", red, blue)
    assert set(Favorite.objects.values_list("user", "output")) == {
        (admin_user.pk, red.pk),
        (admin_user.pk, blue.pk),
    }
    act("unfavorite", red)
    assert Favorite.objects.get().output == blue


def test_a_viewer_has_favorites_too(act, generated, sign_in):
    act("favorite", generated("red")[0], client=sign_in("viewer"))
    assert Favorite.objects.count() == 1


def test_download_has_the_selected_files_and_is_audited(act, generated):
    red, _blue, green = generated("red", "blue", "green")
    response = act("download", red, green)
    assert response["Content-Type"] == "application/zip"
    archive = archive_in(response)
    assert archive.testzip() is None
    assert archive.namelist() == [zip_archive.name_of(red), zip_archive.name_of(green)]
    colors = [open_image(archive.read(name)).getpixel((0, 0)) for name in archive.namelist()]
    assert colors == [(255, 0, 0), (0, 128, 0)]
    entry = AuditEntry.objects.get(page="gallery_do")
    assert (entry.kind, entry.detail) == ("deed", f"download: {red.pk}, {green.pk}")


def test_download_names_files_that_are_gone(act, generated):
    red, blue = generated("red", "blue")
    default_storage.delete(red.file.name)
    archive = archive_in(act("download", red, blue))
    assert archive.namelist() == [zip_archive.name_of(blue), "missing.txt"]
    assert archive.read("missing.txt").decode() == zip_archive.name_of(red) + "\n"


def test_download_is_bounded(act, generated, monkeypatch):
    red = generated("red")[0]
    assert act("download", *range(1, zip_archive.MAX_FILES + 2)).status_code == 400
    monkeypatch.setattr(zip_archive, "MAX_BYTES", 10)
    response = act("download", red)
    assert response.status_code == 302
    assert "select fewer images" in texts_of(response)[0]


# Removal ------------------------------------------------------------------------------------------------------------


def test_removed_image_is_gone_with_its_file_its_copy_and_its_favorites(act, generated, admin_user):
    red, blue = generated("red", "blue")
    fields = {"sha256": "0" * 64, "size_bytes": 1, "width": 8, "height": 8, "seed": 1}
    Output.objects.create(job=red.job, kind=OutputKind.MARKED, index=0, file="copy.png", **fields)
    Favorite.objects.create(user=admin_user, output=red)
    response = act("remove", red)
    assert texts_of(response) == ["1 image was removed."]
    assert list(Output.objects.all()) == [blue]
    assert not default_storage.exists(red.file.name)
    assert default_storage.exists(blue.file.name)
    assert not Favorite.objects.exists()
    assert Job.objects.count() == 1


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("operator", 302), ("finance", 403), ("admin", 302)]
)
def test_only_some_roles_remove_images(act, generated, sign_in, role, status):
    image = generated("red")[0]
    assert act("remove", image, client=sign_in(role)).status_code == status
    assert Output.objects.exists() == (status == 403)


def test_tenant_removes_its_own_images_only(act, generated, sign_in, source, other_source):
    mine, other = generated("red"), generated("blue", source=other_source, key=None)
    act("remove", *mine, *other, client=sign_in("tenant", source))
    assert list(Output.objects.all()) == other


@pytest.mark.parametrize("action", sorted(views.ACTIONS))
def test_images_of_other_tenants_do_not_exist(act, generated, sign_in, source, other_source, action):
    image = generated("blue", source=other_source, key=None)[0]
    response = act(action, image, client=sign_in("tenant", source))
    assert response.status_code == 302
    assert texts_of(response) == ["No images are selected."]
    assert (Job.objects.count(), Output.objects.count(), Favorite.objects.count()) == (1, 1, 0)


# New jobs -----------------------------------------------------------------------------------------------------------


def test_variation_keeps_request_and_seed_and_adds_noise(act, generated, source, admin_user):
    first, second = generated("red", "blue", prompt="a red cat", seed=40, batch_size=2)
    response = act("vary", second)
    job = Job.objects.exclude(pk=first.job_id).get()
    assert response.url == f"/admin/jobs/job/{job.pk}/change/"
    request = job.generation_request
    assert (request.prompt, request.seed, request.num_images) == ("a red cat", 41, 1)
    assert request.subseed_strength == 0.3
    assert (job.source, job.dialect) == (source, "native")
    assert job.key == AccessKey.objects.get(note=f"console: {admin_user.username}")
    assert job.cost_estimate > 0


def test_enlargement_has_the_image_as_input(act, generated):
    image = generated("red")[0]
    file = {"family": "", "path": "upscalers/sharp.safetensors", "sha256": "1" * 64}
    ModelFile.objects.create(kind=Kind.UPSCALER, name="sharp", is_default=True, **file)
    act("upscale", image)
    job = Job.objects.exclude(pk=image.job_id).get()
    request = job.generation_request
    assert (request.task, request.upscale.scale, request.upscale.upscaler) == ("upscale", 2.0, "sharp")
    assert open_image(read_input(request.init_images[0].sha256)).getpixel((0, 0)) == (255, 0, 0)


def test_enlarged_image_has_no_variations(act, generated, checkpoint):
    image = generated("red")[0]
    act("upscale", image)
    upscaled = Job.objects.exclude(pk=image.job_id).get()
    Output.objects.filter(pk=image.pk).update(job=upscaled)
    response = act("vary", image)
    assert "has no variations" in texts_of(response)[-1]
    assert Job.objects.count() == 2


def test_refused_jobs_are_named(act, generated, source):
    red, blue = generated("red", "blue")
    source.images_per_day = 3
    source.save()
    response = act("vary", red, blue)
    assert Job.objects.count() == 2
    refusal, success = texts_of(response)
    assert f"#{blue.index}" in refusal
    assert success == "New jobs: 1"


def test_disabled_console_key_makes_no_jobs(act, generated):
    image = generated("red")[0]
    act("vary", image)
    AccessKey.objects.filter(key_id__startswith="console-").update(enabled=False)
    response = act("vary", image)
    assert texts_of(response)[-1].endswith("You may not submit jobs for shop at present.")
    assert Job.objects.count() == 2


def test_viewer_makes_no_jobs(act, generated, sign_in):
    image, client = generated("red")[0], sign_in("viewer")
    assert {act(action, image, client=client).status_code for action in ("vary", "upscale")} == {403}


def test_number_of_new_jobs_is_bounded(act, generated, monkeypatch):
    monkeypatch.setattr(views, "MAX_DERIVED", 1)
    response = act("upscale", *generated("red", "blue"))
    assert texts_of(response) == ["Select at most 1 images for new jobs."]
    assert Job.objects.count() == 1


# Requests -------------------------------------------------------------------------------------------------------------


def test_action_returns_to_its_page_but_not_to_other_sites(act, generated):
    image = generated("red")[0]
    assert act("favorite", image, next=f"{GALLERY}?dialect=a1111").url == f"{GALLERY}?dialect=a1111"
    assert act("favorite", image, next="https://example.org/").url == GALLERY


@pytest.mark.parametrize(
    ("action", "ids"), [("explode", [1]), ("remove", ["x"]), ("remove", [2**70]), ("", [])]
)
def test_malformed_actions_are_bad_requests(act, db, action, ids):
    assert act(action, *ids).status_code == 400


def test_actions_are_posted(ops):
    assert ops.get(f"{GALLERY}do/").status_code == 405
