"""Migrations of the native API keep the uploads of earlier versions."""

import pytest
from django.core.management import call_command
from django.db import connection

from dialects.native.models import UploadedImage
from jobs.images.storage import store_input
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow


def migrate(*target: str) -> None:
    call_command("migrate", *target, verbosity=0)


@pytest.fixture
def upload(transactional_db, source):
    """An upload, in a database of a version that had the table native_upload."""
    created = UploadedImage.objects.create(source=source, image_id=store_input(png()).sha256)
    try:
        migrate("native", "0001")
        yield created
    finally:
        migrate()


def test_renamed_table_keeps_its_rows_in_both_directions_and_its_constraint(upload, source):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, source_id, picture_id FROM native_upload")
        assert cursor.fetchall() == [(upload.pk, upload.source_id, upload.image_id)]

    migrate()
    assert UploadedImage.objects.get() == upload
    assert UploadedImage.objects.get().image_id == upload.image_id

    again = [UploadedImage(source=source, image_id=upload.image_id)]
    UploadedImage.objects.bulk_create(again, ignore_conflicts=True)
    assert UploadedImage.objects.count() == 1
