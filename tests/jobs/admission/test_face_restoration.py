"""What admission makes of a request whose faces are to be restored."""

import pytest

from jobs.admission.admit import admit
from jobs.errors import ModelNotAllowed, UnknownModel, Unsupported
from jobs.images.infotext.build import infotext
from jobs.models import Backend, Job, Runner
from models_registry.models import FOLDERS, Kind, ModelFile

ASKED = {"face_restoration": {}}
ENLARGED = {"task": "upscale", "init_images": ({"sha256": "0" * 64},), "upscale": {"scale": 1}}


def test_the_registrys_default_models_are_written_into_the_job(submission, face_models):
    job = admit(submission(**ASKED))
    part = job.generation_request.face_restoration
    assert (part.model, part.detector, part.visibility) == ("GFPGANv1.4", "yunet", 1.0)
    assert job.files["face_restorer:GFPGANv1.4"]["path"] == "face_restoration/GFPGANv1.4.pth"
    assert job.files["face_detector:yunet"]["sha256"] == "d" * 64


def test_a_named_model_is_taken_and_keeps_its_share(submission, face_models):
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="mine", path="face_restoration/mine.pth")
    part = {"model": "mine", "visibility": 0.3}
    job = admit(submission(face_restoration=part))
    assert (job.generation_request.face_restoration.model, "face_restorer:mine" in job.files) == (
        "mine",
        True,
    )
    assert job.generation_request.face_restoration.visibility == 0.3


def test_without_being_asked_for_no_model_is_needed(submission):
    assert admit(submission()).generation_request.face_restoration is None


@pytest.mark.parametrize(
    ("kind", "file"),
    [(Kind.FACE_DETECTOR, "yunet_n_640_640.onnx"), (Kind.FACE_RESTORER, "GFPGANv1.4.pth")],
)
def test_what_the_registry_lacks_is_said_with_a_file_and_its_folder(submission, face_models, kind, file):
    face_models[kind].delete()
    with pytest.raises(UnknownModel) as refused:
        admit(submission(**ASKED))
    assert (refused.value.field, file in refused.value.message) == (kind, True)
    assert f"in the folder {FOLDERS[kind]}" in refused.value.message
    assert not Job.objects.exists()


def test_an_unknown_restorer_is_refused_by_its_name(submission, face_models):
    with pytest.raises(UnknownModel, match="nobody"):
        admit(submission(face_restoration={"model": "nobody"}))


def test_another_sources_restorer_is_as_if_it_were_not_there(submission, face_models, other_source):
    face_models[Kind.FACE_RESTORER].allowed_sources.set([other_source])
    with pytest.raises(UnknownModel, match=r"GFPGANv1\.4\.pth"):
        admit(submission(**ASKED))


def test_a_key_may_be_kept_from_a_restorer(submission, face_models):
    made = submission(**ASKED)
    made.key.allowed_models = ["face_restorer:other*"]
    with pytest.raises(ModelNotAllowed, match=r"GFPGANv1\.4"):
        admit(made)


@pytest.mark.parametrize("name", ["CodeFormer", "codeformer-v0.1.0", "Code-Former"])
def test_codeformer_is_refused_for_its_licence_even_where_its_file_is(submission, face_models, name):
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name=name, path=f"face_restoration/{name}.pth")
    with pytest.raises(Unsupported, match="licence forbids commercial use"):
        admit(submission(face_restoration={"model": name}))


def test_codeformers_file_is_nobodys_default(submission, face_models):
    path = "face_restoration/codeformer.pth"
    ModelFile.objects.create(kind=Kind.FACE_RESTORER, name="codeformer", path=path, is_default=True)
    assert admit(submission(**ASKED)).generation_request.face_restoration.model == "GFPGANv1.4"
    face_models[Kind.FACE_RESTORER].delete()
    with pytest.raises(UnknownModel, match=r"GFPGANv1\.4\.pth"):
        admit(submission(**ASKED))


def test_a_comfyui_server_restores_no_faces(submission, workflow_templates, face_models):
    Runner.objects.create(name="comfyui", url="http://127.0.0.1:1", backend=Backend.COMFYUI)
    with pytest.raises(Unsupported, match="face_restoration cannot be drawn by ComfyUI"):
        admit(submission(**ASKED, backend=Backend.COMFYUI))


def test_jobs_from_before_it_was_possible_can_still_be_read(submission):
    """Their requests had two fields for it, which nobody acted upon."""
    job = admit(submission())
    job.request |= {"face_restorer": "", "face_restorer_weight": 0.5}
    del job.request["face_restoration"]
    assert job.generation_request.face_restoration is None


def test_the_infotext_names_the_restorer_between_seed_and_size(submission, face_models):
    job = admit(submission(**ASKED, seed=7))
    assert "Seed: 7, Face restoration: GFPGANv1.4, Size: 64x64" in infotext(job, job.generation_request, 0)
    plain = admit(submission())
    assert "Face restoration" not in infotext(plain, plain.generation_request, 0)
