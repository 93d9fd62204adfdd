"""Lists of model files."""

import pytest

from models_registry.models import Kind

pytestmark = pytest.mark.postgres

PAGE = {"pageSize": 10, "pageNum": 1}


@pytest.fixture
def models(alice, register):
    register(Kind.CHECKPOINT, "checkpoints/photon_v1_84728.safetensors", name="Photon")
    register(Kind.LORA, "loras/night_8812.safetensors", name="Night", trigger_words="moon, stars")
    register(Kind.VAE, "vae/vae-ft-mse.vae.pt")
    register(Kind.EMBEDDING, "embeddings/EasyNegative.safetensors")
    return alice


def rows(alice, path, **fields):
    return alice.post(f"sd/v2/{path}", {**PAGE, **fields})["data"]["rows"]


def test_row_of_a_checkpoint(models):
    row = rows(models, "queryModelList", sdModelName="photon")[0]
    assert row.pop("id") > 0
    assert row.pop("modelHash").isupper()
    assert row == {
        "sdModelCheckpoint": "photon_v1_84728.safetensors",
        "sdModelName": "Photon",
        "modelBaseModel": "SD 1.5",
        "modelType": "Checkpoint",
        "modelVersion": "",
        "modelStatus": 1,
        "modelUploadStatus": 2,
        "modelImgUrl2": None,
    }


@pytest.mark.parametrize("path", ["queryLoraList", "queryLoralList"])
def test_lora_list_has_the_name_to_use_in_a_prompt(models, path):
    (row,) = rows(models, path)
    assert (row["sdLoraFileName"], row["sdLoraFileSimplifyName"]) == ("night_8812.safetensors", "night_8812")
    assert (row["sdLoraName"], row["modelTriggerWords"], row["modelType"]) == ("Night", "moon, stars", "LORA")
    models.generate(prompt=f"a star <lora:{row['sdLoraFileSimplifyName']}:1>")


def test_vae_list_has_the_name_to_use_in_a_request(models):
    (row,) = rows(models, "queryVaeList")
    assert (row["sdVaeFileName"], row["modelType"]) == ("vae-ft-mse.vae.pt", "VAE")
    models.generate(scripts={"sd_vae": row["sdVaeFileName"]})


def test_embedding_list_has_the_name_to_use_in_a_prompt(models):
    (row,) = rows(models, "queryEmbeddingList")
    assert (row["sdEmbeddingFileName"], row["modelType"]) == ("EasyNegative.safetensors", "TextualInversion")
    request = models.generate(negative_prompt=row["sdEmbeddingFileSimplifyName"]).generation_request
    assert request.embeddings == ("EasyNegative",)


def test_list_is_paginated(models):
    pages = [models.post("sd/v2/queryModelList", {"pageSize": "1", "pageNum": n})["data"] for n in (1, 2, 3)]
    assert [[row["sdModelName"] for row in page["rows"]] for page in pages] == [["shapes"], ["Photon"], []]
    assert {(page["total"], page["pageSize"]) for page in pages} == {(2, 1)}
    assert [page["pageNum"] for page in pages] == [1, 2, 3]


def test_filter_without_a_match(models):
    data = models.post("sd/v2/queryLoraList", {**PAGE, "sdLoraFileName": "day"})["data"]
    assert (data["rows"], data["total"]) == ([], 0)


@pytest.mark.parametrize("body", [{}, {"pageSize": 10}, {**PAGE, "pageNum": 0}, {**PAGE, "pageSize": 10**9}])
def test_missing_or_invalid_page_is_refused(models, body):
    assert models.post("sd/v2/queryModelList", body)["code"] == "400"


def test_file_that_a_source_may_not_use_is_not_listed(models, other_source, checkpoint):
    checkpoint.allowed_sources.add(other_source)
    assert [row["sdModelName"] for row in rows(models, "queryModelList")] == ["Photon"]
