"""Hostile values in every field of the management endpoints: an error of the documented shape, never an internal one."""

import pytest
from hypothesis import given

from dialects.stablediffusionapi.management.model_loading import COMMON, FIELDS
from jobs.models import ModelIntake
from tests.dialects.stablediffusionapi.conftest import data_uri, png
from tests.dialects.stablediffusionapi.test_hostile_values import check, keyed, send
from tests.support.hostile_values import FUZZ, bodies, encoded

pytestmark = [pytest.mark.slow, pytest.mark.django_db, pytest.mark.postgres]

MODEL = {"url": "http://127.0.0.1/night.safetensors", "model_id": "night", "model_category": "lora"}
BODIES = {
    "v1/enterprise/load_model": {"url": MODEL["url"], "model_id": "night", "model_type": "lora"},
    "v1/enterprise/load_model_v2": MODEL | {"model_format": "safetensors", "track_id": 7},
    "v1/enterprise/load_vae": {"vae_url": MODEL["url"], "vae_id": "sepia", "vae_type": "safetensors"},
    "v3/load_model": MODEL | {"model_name": "Night", "webhook": "http://127.0.0.1/hook"},
    "v1/enterprise/verify_model": {"model_id": "shapes"},
    "v1/enterprise/delete_model": {"model_id": "shapes"},
    "v1/enterprise/upload_image": {"base64_image": data_uri(png()), "image_type": "png"},
    "v3/base64_to_url": {"base64_string": data_uri(png())},
    "v3/assets_generated": {"type": "image", "per_page": "10", "page": 1},
}
EXTRA = {
    "v1/enterprise/load_model": [*FIELDS["load_model"], *COMMON],
    "v1/enterprise/load_model_v2": [*FIELDS["load_model_v2"], *COMMON],
    "v1/enterprise/load_vae": [*FIELDS["load_vae"], *COMMON],
    "v3/load_model": [*FIELDS["v3"], *COMMON],
}


@pytest.mark.parametrize("path", BODIES)
def test_every_field_accepts_or_refuses_any_value(manager, source, path):
    source.reachable = ["127.0.0.1"]
    source.save()

    @FUZZ
    @given(body=bodies(BODIES[path], EXTRA.get(path, ())))
    def any_body(body):
        ModelIntake.objects.all().delete()
        response = send(manager, path, encoded(keyed(manager, body)))
        check(response)
        started = response.json()["status"] == "success" and "load" in path.rpartition("/")[2]
        assert ModelIntake.objects.count() == (started and "upload" not in path)

    any_body()
