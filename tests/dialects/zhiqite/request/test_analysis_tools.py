"""Tools that find something in an image: their jobs, and the data of their queries and callbacks."""

import json

import pytest

from gpu_runner.protocol.findings import NsfwFound
from jobs.models import Job
from models_registry.models import Kind
from tests.support import fake_runner as fake
from tests.support.receiving_server import YES
from tests.support.receiving_server import work as call_back

pytestmark = pytest.mark.slow

FACES, AUDIT = "face/detection", "image/audit"


@pytest.fixture
def nsfw_model(register):
    return register(Kind.NSFW, "nsfw/open_nsfw.onnx")


@pytest.fixture
def use(alice, web):
    def use(tool, **fields):
        return alice.submit(
            f"tool/{tool}", {"businessTaskId": "t", "imageUrl": web.url("/wide.png"), **fields}
        )

    return use


def query(client, tool):
    return client.task("t", f"tool/{tool}/queryTask")


def test_faces_are_data_with_an_image_of_each(alice, client, use, face_models, work):
    job = use(FACES)
    request = job.generation_request
    assert (request.task, request.analysis.find, request.analysis.crops) == ("analyze", "faces", True)
    waiting = query(alice, FACES)
    assert (waiting["status"], "faceList" in waiting) == (1, False)
    work()
    done = query(alice, FACES)
    assert (done["status"], done["imageWidth"], done["imageHeight"]) == (2, 320, 320)
    (face,) = done["faceList"]
    assert face.pop("faceImageUrl") == done["outputImageUrl"]
    assert face == {
        "faceIdx": 0,
        "score": 0.93,
        "box": {"left": 117, "top": 60, "width": 91, "height": 118},
        "landmarks": {
            "leftEye": [141, 104],
            "rightEye": [184, 104],
            "nose": [163, 130],
            "leftMouthCorner": [145, 148],
            "rightMouthCorner": [180, 148],
        },
    }
    assert client.get(done["outputImageUrl"])["Content-Type"] == "image/png"


def test_images_of_faces_have_the_requested_format(alice, client, use, face_models, work):
    use(FACES, targetImageFormat="jpg")
    work()
    assert client.get(query(alice, FACES)["outputImageUrl"])["Content-Type"] == "image/jpeg"


def test_safe_image_passes_the_audit(alice, use, nsfw_model, work):
    assert use(AUDIT, threshold="0.6").generation_request.analysis.threshold == 0.6
    work()
    done = query(alice, AUDIT)
    assert (done["status"], done["img_audit_status"], done["outputImageUrl"]) == (2, True, None)
    assert done["img_audit"] == [{"confidence": None, "label": "nonLabel"}]
    assert (done["nsfwScore"], done["nsfwThreshold"]) == (0.03, 0.8)


def test_nsfw_image_does_not_pass_the_audit(alice, use, nsfw_model, work, monkeypatch):
    monkeypatch.setitem(fake.FINDINGS, "nsfw", NsfwFound(detected=True, score=0.97, threshold=0.8))
    use(AUDIT)
    work()
    done = query(alice, AUDIT)
    assert (done["status"], done["img_audit_status"]) == (2, False)
    assert done["img_audit"] == [{"confidence": 0.97, "label": "nsfw"}]


@pytest.mark.parametrize("tool", [FACES, AUDIT])
def test_callback_has_the_body_of_the_query(alice, use, face_models, nsfw_model, web, work, tool):
    web.answers["/done"] = YES
    use(tool, callbackUrl=web.url("/done"))
    work()
    call_back()
    sent, queried = json.loads(web.asked[-1].body)["data"], query(alice, tool)
    assert sent == queried
    assert ("faceList" in sent) == (tool == FACES)


@pytest.mark.parametrize("tool", [FACES, AUDIT])
def test_findings_are_not_told_to_others(alice, bob, charlie, use, face_models, nsfw_model, work, tool):
    use(tool)
    work()
    for other in (bob, charlie):
        assert other.post(f"tool/{tool}/queryTask", {"businessTaskId": "t"})["msg"] == "Task not found."


@pytest.mark.parametrize(
    ("tool", "fields", "message"),
    [
        (FACES, {"imageUrl": None}, "imageUrl: Field required"),
        (FACES, {"imageUrl": "http://127.0.0.1:1/a.png"}, "imageUrl: "),
        (FACES, {"targetImageFormat": "gif"}, "targetImageFormat: "),
        (FACES, {}, "yunet_n_640_640.onnx in the folder face_detection"),
        (AUDIT, {"imageUrl": None}, "imageUrl: Field required"),
        (AUDIT, {"threshold": 1.5}, "threshold: "),
        (AUDIT, {"callbackUrl": "http://10.0.0.1/"}, "10.0.0.1"),
        (AUDIT, {}, "manage.py install_nsfw_detector"),
    ],
)
def test_invalid_use_is_refused_with_its_reason(alice, web, tool, fields, message):
    body = {"businessTaskId": "t", "imageUrl": web.url("/wide.png"), **fields}
    assert message in alice.refused(f"tool/{tool}", body)
    assert not Job.objects.exists()
