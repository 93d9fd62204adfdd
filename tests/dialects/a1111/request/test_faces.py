"""Face restoration: ``restore_faces``, its options, ``/face-restorers``, and visibilities of the extras."""

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
def test_restore_faces_enables_face_restoration(alice, face_models) -> None:
    part = alice.submit(**RESTORE).generation_request.face_restoration
    assert (part.model, part.detector, part.visibility) == ("GFPGANv1.4", "yunet", 1.0)
    for value in (False, None):
        assert alice.submit(restore_faces=value).generation_request.face_restoration is None


@pytest.mark.field("a1111_img2img", "restore_faces")
def test_restore_faces_applies_to_img2img(alice, face_models, red) -> None:
    job = alice.submit("img2img", init_images=[red], **RESTORE)
    assert job.generation_request.face_restoration.model == "GFPGANv1.4"


def test_null_restore_faces_means_the_option(alice, face_models) -> None:
    alice.post("options", {"face_restoration": True})
    assert alice.submit(restore_faces=None).generation_request.face_restoration is not None
    assert alice.submit(restore_faces=False).generation_request.face_restoration is None
    overridden = alice.submit(override_settings={"face_restoration": False})
    assert overridden.generation_request.face_restoration is None


def test_option_selects_the_face_restorer(alice, second) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "GFPGANv1.3"})
    assert job.generation_request.face_restoration.model == "GFPGANv1.3"
    alice.post("options", {MODEL: "GFPGANv1.3"})
    assert alice.submit(**RESTORE).generation_request.face_restoration.model == "GFPGANv1.3"
    assert (
        alice.submit(**RESTORE, override_settings={MODEL: "GFPGAN"}).generation_request.face_restoration.model
        == "GFPGANv1.4"
    )


def test_restorer_none_disables_face_restoration(alice) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "None"})
    assert job.generation_request.face_restoration is None


def test_unknown_face_restorer_disables_restoration_with_a_warning(
    alice, complete, info, face_models
) -> None:
    job = alice.submit(**RESTORE, override_settings={MODEL: "RestoreMe"})
    assert job.generation_request.face_restoration is None
    complete(job)
    assert info(alice.result(job))["warnings"] == ["unknown face restorer RestoreMe; faces are not restored"]


def test_codeformer_is_rejected_for_its_license(alice, face_models) -> None:
    body = {**RESTORE, "override_settings": {MODEL: "CodeFormer"}}
    error = entry(alice.post("txt2img", body))
    assert error["loc"] == ["body", "override_settings", MODEL]
    assert (error["type"], "commercial use" in error["msg"]) == (
        "value_error.unsupported",
        True,
    )
    alice.post("options", {MODEL: "CodeFormer"})
    assert entry(alice.post("txt2img", RESTORE))["loc"] == ["body", "override_settings", MODEL]
    assert alice.submit().generation_request.face_restoration is None


def test_face_options_can_be_posted_back(alice, face_models) -> None:
    options = alice.get("options").json()
    assert (options["face_restoration"], options[MODEL]) == (False, "GFPGAN")
    assert alice.post("options", options).status_code == 200
    assert alice.submit(**RESTORE).generation_request.face_restoration.model == "GFPGANv1.4"


@pytest.mark.parametrize(
    ("kind", "file"), [(Kind.FACE_DETECTOR, "yunet_n_640_640.onnx"), (Kind.FACE_RESTORER, "GFPGANv1.4.pth")]
)
def test_missing_model_file_is_named_at_the_field(alice, face_models, red, kind, file) -> None:
    face_models[kind].delete()
    for route, body, field in (
        ("txt2img", RESTORE, "restore_faces"),
        ("extra-single-image", {"image": red, "gfpgan_visibility": 0.5}, "gfpgan_visibility"),
    ):
        error = entry(alice.post(route, body))
        assert (error["loc"], error["type"]) == (["body", field], "value_error.unsupported")
        assert file in error["msg"]


def test_face_restorers_are_listed_with_gfpgan_first(alice, charlie, second, source) -> None:
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="codeformer", path="face_restoration/c.pth")
    names = [restorer["name"] for restorer in alice.get("face-restorers").json()]
    assert names == ["GFPGAN", "GFPGANv1.4", "GFPGANv1.3"]
    assert alice.get("face-restorers").json()[0] == {"name": "GFPGAN", "cmd_dir": None}
    for file in ModelFile.objects.filter(kind=Kind.FACE_RESTORER):
        file.allowed_sources.set([source])
    assert charlie.get("face-restorers").json() == []


def test_info_names_the_face_restoration_model(alice, complete, info, face_models) -> None:
    job = alice.submit(**RESTORE)
    complete(job)
    result = info(alice.result(job))
    assert (result["restore_faces"], result[MODEL]) == (True, "GFPGANv1.4")
    plain = alice.submit()
    complete(plain)
    result = info(alice.result(plain))
    assert (result["restore_faces"], result[MODEL]) == (False, None)


def test_infotext_selects_the_face_restorer(alice, second) -> None:
    template = "x\nSteps: 5, Sampler: Euler, Seed: 1, Face restoration: {}, Size: 64x64"
    for name, expected in (("GFPGANv1.3", "GFPGANv1.3"), ("GFPGAN", "GFPGANv1.4")):
        job = alice.submit(infotext=template.format(name))
        assert job.generation_request.face_restoration.model == expected
    refused = alice.post("txt2img", {"infotext": template.format("CodeFormer")})
    assert entry(refused)["loc"] == ["body", "override_settings", MODEL]
    job = alice.submit(infotext=template.format("GFPGAN"), restore_faces=False)
    assert job.generation_request.face_restoration is None


def test_extras_restore_faces_with_the_given_visibility(alice, complete, face_models, red) -> None:
    body = {"image": red, "gfpgan_visibility": 0.25, "upscaler_1": "Lanczos", "upscaling_resize": 2}
    job = alice.submit("extra-single-image", **body)
    part = job.generation_request.face_restoration
    assert (part.model, part.visibility) == ("GFPGANv1.4", 0.25)
    complete(job)
    html_info = alice.result(job)["html_info"]
    assert (
        html_info
        == "<p>Postprocess upscale by: 2.0, Postprocess upscaler: Lanczos, GFPGAN visibility: 0.25</p>"
    )
    only = alice.submit("extra-batch-images", imageList=[{"data": red, "name": "a"}], gfpgan_visibility=1)
    assert only.generation_request.upscale.upscaler == "None"


def test_extras_reject_codeformer_for_its_license(alice, face_models, red) -> None:
    error = entry(alice.post("extra-single-image", {"image": red, "codeformer_visibility": 0.5}))
    assert (error["loc"], error["type"]) == (["body", "codeformer_visibility"], "value_error.unsupported")
    assert "commercial use" in error["msg"]
    disabled = {"image": red, "codeformer_visibility": 0, "codeformer_weight": 0.7}
    assert alice.submit("extra-single-image", **disabled).generation_request.face_restoration is None
