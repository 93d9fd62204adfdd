"""Previews: a style preset generates an image, a prompt style shows the resulting prompts."""

import io

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from jobs.models import Job
from models_registry.models import PromptStyle, StylePreset
from tests.support.fake_runner import png

pytestmark = pytest.mark.slow


@pytest.fixture
def preset(checkpoint):
    return StylePreset.objects.create(
        key="monet", variant="garden", checkpoint=checkpoint, prompt="oil painting, {prompt}", steps=7
    )


@pytest.fixture
def preview(ops, source):
    def preview(preset, **form):
        fields = {"prompt": "a red circle", "source": source.name, "image": image()} | form
        return ops.post(f"/admin/models_registry/stylepreset/{preset.pk}/try/", fields, follow=True)

    return preview


def image(data=None):
    return SimpleUploadedFile("in.png", png() if data is None else data, "image/png")


def mask_of(share: float) -> bytes:
    """A mask whose left part is white."""
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, round(64 * share), 64))
    file = io.BytesIO()
    mask.save(file, "PNG")
    return file.getvalue()


def test_preview_is_a_job_with_the_settings_of_the_preset(preview, preset, source, checkpoint):
    page = preview(preset)
    job = Job.objects.get()
    request = job.generation_request
    assert (job.source, job.operation, job.dialect, job.key) == (source, "try", "volcengine", None)
    assert (request.prompt, request.num_inference_steps) == ("oil painting, a red circle", 7)
    assert (request.task, len(request.init_images)) == ("img2img", 1)
    assert f'data-watch-job="/admin/jobs/job/{job.pk}/live/"' in page.content.decode()


def test_disabled_preset_can_be_previewed(preview, preset):
    StylePreset.objects.update(enabled=False)
    preview(preset)
    assert Job.objects.count() == 1


def test_txt2img_preset_needs_no_image(preview, preset):
    StylePreset.objects.update(task=StylePreset.Task.TXT2IMG)
    preset.refresh_from_db()
    preview(preset, image="")
    assert Job.objects.get().generation_request.task == "txt2img"


def test_inpainting_preset_needs_a_mask(preview, preset):
    StylePreset.objects.update(task=StylePreset.Task.INPAINT)
    preset.refresh_from_db()
    assert "mask" in preview(preset).context["form"].errors
    assert "white everywhere" in preview(preset, mask=image(mask_of(1))).content.decode()
    assert not Job.objects.exists()
    preview(preset, mask=image(mask_of(0.5)))
    request = Job.objects.get().generation_request
    assert (request.task, request.change_background.mask_invert) == ("change_background", True)


def test_outpainting_preset_needs_no_mask(preview, preset):
    StylePreset.objects.update(task=StylePreset.Task.OUTPAINT)
    preset.refresh_from_db()
    preview(preset)
    assert Job.objects.get().generation_request.task == "change_background"


@pytest.mark.parametrize("form", [{"image": ""}, {"source": "unknown"}, {"prompt": "x" * 2001}])
def test_invalid_form_creates_no_job(preview, preset, form):
    assert set(preview(preset, **form).context["form"].errors) == set(form)
    assert not Job.objects.exists()


def test_undecodable_image_is_refused_with_a_message(preview, preset):
    assert "Image Decode Error" in preview(preset, image=image(b"not an image")).content.decode()
    assert not Job.objects.exists()


def test_restricted_preset_is_billed_only_to_its_sources(preview, preset, source, other_source):
    preset.allowed_sources.add(other_source)
    assert "source" in preview(preset).context["form"].errors


@pytest.mark.parametrize("job", ["x", "00000000-0000-0000-0000-000000000000"])
def test_unknown_preview_job_is_not_found(ops, preset, job):
    assert ops.get(f"/admin/models_registry/stylepreset/{preset.pk}/try/?job={job}").status_code == 404


def test_preview_requires_permission_to_change(client, django_user_model, preset):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    assert client.post(f"/admin/models_registry/stylepreset/{preset.pk}/try/").status_code == 403


def test_prompts_of_an_unsaved_style_are_previewed(ops, db):
    form = {
        "style": "{prompt}, oil",
        "negative_style": "text",
        "prompt": "a circle",
        "negative_prompt": "blur",
    }
    response = ops.post("/admin/models_registry/promptstyle/preview/", form)
    assert response.json() == {"prompt": "a circle, oil", "negative_prompt": "blur, text"}
    assert not PromptStyle.objects.exists()
    assert "prompt-preview" in ops.get("/admin/models_registry/promptstyle/add/").content.decode()
