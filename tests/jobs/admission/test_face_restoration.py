"""Admission of requests with face restoration."""

import pytest

from jobs.admission.admit import admit
from jobs.errors import ModelNotAllowed, UnknownModel, Unsupported
from jobs.images.infotext.build import infotext
from jobs.models import Backend, Job, Runner
from models_registry.models import FOLDERS, Kind, ModelFile

RESTORED = {"face_restoration": {}}
UPSCALED = {"task": "upscale", "init_images": ({"sha256": "0" * 64},), "upscale": {"scale": 1}}


def test_default_models_of_the_registry_are_written_into_the_job(submission, face_models):
    job = admit(submission(**RESTORED))
    part = job.generation_request.face_restoration
    assert (part.model, part.detector, part.visibility) == ("GFPGANv1.4", "yunet", 1.0)
    assert job.files["face_restorer:GFPGANv1.4"]["path"] == "face_restoration/GFPGANv1.4.pth"
    assert job.files["face_detector:yunet"]["sha256"] == "d" * 64


def test_named_model_and_visibility_are_kept(submission, face_models):
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="mine", path="face_restoration/mine.pth")
    part = {"model": "mine", "visibility": 0.3}
    job = admit(submission(face_restoration=part))
    assert (job.generation_request.face_restoration.model, "face_restorer:mine" in job.files) == (
        "mine",
        True,
    )
    assert job.generation_request.face_restoration.visibility == 0.3


def test_request_without_face_restoration_needs_no_model(submission):
    assert admit(submission()).generation_request.face_restoration is None


@pytest.mark.parametrize(
    ("kind", "file"),
    [(Kind.FACE_DETECTOR, "yunet_n_640_640.onnx"), (Kind.FACE_RESTORER, "GFPGANv1.4.pth")],
)
def test_missing_model_is_reported_with_file_name_and_folder(submission, face_models, kind, file):
    face_models[kind].delete()
    with pytest.raises(UnknownModel) as refused:
        admit(submission(**RESTORED))
    assert (refused.value.field, file in refused.value.message) == (kind, True)
    assert f"in the folder {FOLDERS[kind]}" in refused.value.message
    assert not Job.objects.exists()


def test_unknown_restorer_is_refused_by_name(submission, face_models):
    with pytest.raises(UnknownModel, match="unknown-restorer"):
        admit(submission(face_restoration={"model": "unknown-restorer"}))


def test_restorer_of_another_source_is_unknown(submission, face_models, other_source):
    face_models[Kind.FACE_RESTORER].allowed_sources.set([other_source])
    with pytest.raises(UnknownModel, match=r"GFPGANv1\.4\.pth"):
        admit(submission(**RESTORED))


def test_key_restricted_to_other_restorers_is_refused(submission, face_models):
    request = submission(**RESTORED)
    request.key.allowed_models = ["face_restorer:other*"]
    with pytest.raises(ModelNotAllowed, match=r"GFPGANv1\.4"):
        admit(request)


@pytest.mark.parametrize("name", ["CodeFormer", "codeformer-v0.1.0", "Code-Former"])
def test_codeformer_is_refused_because_of_its_licence(submission, face_models, name):
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name=name, path=f"face_restoration/{name}.pth")
    with pytest.raises(Unsupported, match="license forbids commercial use"):
        admit(submission(face_restoration={"model": name}))


def test_codeformer_is_never_the_default(submission, face_models):
    path = "face_restoration/codeformer.pth"
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="codeformer", path=path, is_default=True)
    assert admit(submission(**RESTORED)).generation_request.face_restoration.model == "GFPGANv1.4"
    face_models[Kind.FACE_RESTORER].delete()
    with pytest.raises(UnknownModel, match=r"GFPGANv1\.4\.pth"):
        admit(submission(**RESTORED))


def test_face_restoration_is_unsupported_by_comfyui(submission, workflow_templates, face_models):
    Runner.objects.create(name="comfyui", url="http://127.0.0.1:1", backend=Backend.COMFYUI)
    with pytest.raises(Unsupported, match="face_restoration cannot be drawn by ComfyUI"):
        admit(submission(**RESTORED, backend=Backend.COMFYUI))


def test_stored_request_with_former_fields_is_readable(submission):
    """Their requests contain two former fields, which had no effect."""
    job = admit(submission())
    job.request |= {"face_restorer": "", "face_restorer_weight": 0.5}
    del job.request["face_restoration"]
    assert job.generation_request.face_restoration is None


def test_infotext_names_the_restorer_between_seed_and_size(submission, face_models):
    job = admit(submission(**RESTORED, seed=7))
    assert "Seed: 7, Face restoration: GFPGANv1.4, Size: 64x64" in infotext(job, job.generation_request, 0)
    plain = admit(submission())
    assert "Face restoration" not in infotext(plain, plain.generation_request, 0)
