"""restore_faces, its options, the lists of restorers, and the extras' visibilities."""

import pytest

from models_registry.models import Kind, ModelFile

pytestmark = pytest.mark.slow

RESTORE = {"restore_faces": True}
MODEL = "face_restoration_model"


def entry(response):
    assert response.status_code == 422, response.content
    return response.json()["detail"][0]


@pytest.fixture
def second(face_models):
    fields = {"name": "GFPGANv1.3", "path": "face_restoration/GFPGANv1.3.pth", "sha256": "e" * 64}
    return ModelFile.objects.create(kind=Kind.FACE_RESTORER, **fields)


@pytest.mark.field("a1111_txt2img", "restore_faces")
def test_faces_are_restored_where_the_field_asks_for_it(alice, face_models) -> None:
    part = alice.submit(**RESTORE).generation_request.face_restoration
    assert (part.model, part.detector, part.visibility) == ("GFPGANv1.4", "yunet", 1.0)
    for asked in (False, None):
        assert alice.submit(restore_faces=asked).generation_request.face_restoration is None


@pytest.mark.field("a1111_img2img", "restore_faces")
def test_in_img2img_too(alice, face_models, red) -> None:
    job = alice.submit("img2img", init_images=[red], **RESTORE)
    assert job.generation_request.face_restoration.model == "GFPGANv1.4"


def test_null_means_the_option(alice, face_models) -> None:
    alice.post("options", {"face_restoration": True})
    assert alice.submit(restore_faces=None).generation_request.face_restoration is not None
    assert alice.submit(restore_faces=False).generation_request.face_restoration is None
    overridden = alice.submit(override_settings={"face_restoration": False})
    assert overridden.generation_request.face_restoration is None


def test_the_option_names_the_restorer(alice, second) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "GFPGANv1.3"})
    assert job.generation_request.face_restoration.model == "GFPGANv1.3"
    alice.post("options", {MODEL: "GFPGANv1.3"})
    assert alice.submit(**RESTORE).generation_request.face_restoration.model == "GFPGANv1.3"
    assert (
        alice.submit(**RESTORE, override_settings={MODEL: "GFPGAN"}).generation_request.face_restoration.model
        == "GFPGANv1.4"
    )


def test_none_restores_nothing_as_in_the_original(alice) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "None"})
    assert job.generation_request.face_restoration is None


def test_an_unknown_restorer_leaves_faces_alone_and_a_warning_says_so(alice, draw, info, face_models) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "RestoreMe"})
    assert job.generation_request.face_restoration is None
    draw(job)
    assert info(alice.result(job))["warnings"] == [
        "there is no face restorer RestoreMe, and faces stay as they are"
    ]


def test_codeformer_is_refused_for_its_licence_where_faces_are_to_be_restored(alice, face_models) -> None:
    body = {**RESTORE, "override_settings": {MODEL: "CodeFormer"}}
    wrong = entry(alice.post("txt2img", body))
    assert wrong["loc"] == ["body", "override_settings", MODEL]
    assert (wrong["type"], "licence forbids commercial use" in wrong["msg"]) == (
        "value_error.unsupported",
        True,
    )
    alice.post("options", {MODEL: "CodeFormer"})
    assert entry(alice.post("txt2img", RESTORE))["loc"] == ["body", "override_settings", MODEL]
    assert alice.submit().generation_request.face_restoration is None


def test_what_clients_read_of_the_options_can_be_written_back(alice, face_models) -> None:
    options = alice.get("options").json()
    assert (options["face_restoration"], options[MODEL]) == (False, "GFPGAN")
    assert alice.post("options", options).status_code == 200
    assert alice.submit(**RESTORE).generation_request.face_restoration.model == "GFPGANv1.4"


@pytest.mark.parametrize(
    ("kind", "file"), [(Kind.FACE_DETECTOR, "yunet_n_640_640.onnx"), (Kind.FACE_RESTORER, "GFPGANv1.4.pth")]
)
def test_a_missing_file_is_named_at_the_field(alice, face_models, red, kind, file) -> None:
    face_models[kind].delete()
    for route, body, field in (
        ("txt2img", RESTORE, "restore_faces"),
        ("extra-single-image", {"image": red, "gfpgan_visibility": 0.5}, "gfpgan_visibility"),
    ):
        wrong = entry(alice.post(route, body))
        assert (wrong["loc"], wrong["type"]) == (["body", field], "value_error.unsupported")
        assert file in wrong["msg"]


def test_the_restorers_are_listed_by_the_originals_name_and_by_their_own(
    alice, charlie, second, source
) -> None:
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="codeformer", path="face_restoration/c.pth")
    names = [restorer["name"] for restorer in alice.get("face-restorers").json()]
    assert names == ["GFPGAN", "GFPGANv1.4", "GFPGANv1.3"]
    assert alice.get("face-restorers").json()[0] == {"name": "GFPGAN", "cmd_dir": None}
    for file in ModelFile.objects.filter(kind=Kind.FACE_RESTORER):
        file.allowed_sources.set([source])
    assert charlie.get("face-restorers").json() == []


def test_the_answer_says_by_what_faces_were_restored(alice, draw, info, face_models) -> None:
    job = alice.submit(**RESTORE)
    draw(job)
    told = info(alice.result(job))
    assert (told["restore_faces"], told[MODEL]) == (True, "GFPGANv1.4")
    plain = alice.submit()
    draw(plain)
    told = info(alice.result(plain))
    assert (told["restore_faces"], told[MODEL]) == (False, None)


def test_a_pasted_infotext_restores_by_the_model_that_it_names(alice, second) -> None:
    pasted = "x\nSteps: 5, Sampler: Euler, Seed: 1, Face restoration: {}, Size: 64x64"
    for named, taken in (("GFPGANv1.3", "GFPGANv1.3"), ("GFPGAN", "GFPGANv1.4")):
        job = alice.submit(infotext=pasted.format(named))
        assert job.generation_request.face_restoration.model == taken
    refused = alice.post("txt2img", {"infotext": pasted.format("CodeFormer")})
    assert entry(refused)["loc"] == ["body", "override_settings", MODEL]
    job = alice.submit(infotext=pasted.format("GFPGAN"), restore_faces=False)
    assert job.generation_request.face_restoration is None


def test_the_extras_restore_faces_in_proportion(alice, draw, face_models, red) -> None:
    body = {"image": red, "gfpgan_visibility": 0.25, "upscaler_1": "Lanczos", "upscaling_resize": 2}
    job = alice.submit("extra-single-image", **body)
    part = job.generation_request.face_restoration
    assert (part.model, part.visibility) == ("GFPGANv1.4", 0.25)
    draw(job)
    told = alice.result(job)["html_info"]
    assert (
        told == "<p>Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos, GFPGAN visibility: 0.25</p>"
    )
    only = alice.submit("extra-batch-images", imageList=[{"data": red, "name": "a"}], gfpgan_visibility=1)
    assert only.generation_request.upscale.upscaler == "None"


def test_the_extras_refuse_codeformer_for_its_licence(alice, face_models, red) -> None:
    wrong = entry(alice.post("extra-single-image", {"image": red, "codeformer_visibility": 0.5}))
    assert (wrong["loc"], wrong["type"]) == (["body", "codeformer_visibility"], "value_error.unsupported")
    assert "licence forbids commercial use" in wrong["msg"]
    unasked = {"image": red, "codeformer_visibility": 0, "codeformer_weight": 0.7}
    assert alice.submit("extra-single-image", **unasked).generation_request.face_restoration is None
