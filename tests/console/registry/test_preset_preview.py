"""A preset is tried as a client would use it; a prompt style shows the words that it makes."""

import pytest
from django.contrib.auth.models import Permission
from django.core.files.uploadedfile import SimpleUploadedFile

from jobs.models import Job
from models_registry.models import PromptStyle, StylePreset
from tests.support.fake_runner import png


@pytest.fixture
def preset(checkpoint):
    return StylePreset.objects.create(
        key="monet", variant="garden", checkpoint=checkpoint, prompt="oil painting, {prompt}", steps=7
    )


@pytest.fixture
def attempt(ops, source):
    def attempt(preset, **form):
        given = {"prompt": "a red circle", "source": source.name, "picture": picture()} | form
        return ops.post(f"/admin/models_registry/stylepreset/{preset.pk}/try/", given, follow=True)

    return attempt


def picture(data=None):
    return SimpleUploadedFile("in.png", png() if data is None else data, "image/png")


def test_a_trial_is_a_job_with_the_presets_settings(attempt, preset, source, checkpoint):
    page = attempt(preset)
    job = Job.objects.get()
    request = job.generation_request
    assert (job.source, job.operation, job.dialect, job.key) == (source, "try", "volcengine", None)
    assert (request.prompt, request.num_inference_steps) == ("oil painting, a red circle", 7)
    assert (request.task, len(request.init_images)) == ("img2img", 1)
    assert f'data-watch-job="/admin/jobs/job/{job.pk}/live/"' in page.content.decode()


def test_a_disabled_preset_can_be_tried_before_clients_get_it(attempt, preset):
    StylePreset.objects.update(enabled=False)
    attempt(preset)
    assert Job.objects.count() == 1


def test_a_preset_from_words_alone_needs_no_picture(attempt, preset):
    StylePreset.objects.update(task=StylePreset.Task.TXT2IMG)
    preset.refresh_from_db()
    attempt(preset, picture="")
    assert Job.objects.get().generation_request.task == "txt2img"


def test_a_preset_that_paints_over_a_part_needs_its_mask(attempt, preset):
    StylePreset.objects.update(task=StylePreset.Task.INPAINT)
    preset.refresh_from_db()
    assert "mask" in attempt(preset).context["form"].errors
    attempt(preset, mask=picture())
    request = Job.objects.get().generation_request
    assert (request.task, request.change_background.mask_invert) == ("change_background", True)


def test_a_preset_that_draws_beyond_the_edges_needs_none(attempt, preset):
    StylePreset.objects.update(task=StylePreset.Task.OUTPAINT)
    preset.refresh_from_db()
    attempt(preset)
    assert Job.objects.get().generation_request.task == "change_background"


@pytest.mark.parametrize("form", [{"picture": ""}, {"source": "nobody"}, {"prompt": "x" * 2001}])
def test_a_wrong_answer_draws_nothing(attempt, preset, form):
    assert set(attempt(preset, **form).context["form"].errors) == set(form)
    assert not Job.objects.exists()


def test_a_picture_that_is_none_is_refused_in_words(attempt, preset):
    assert "Image Decode Error" in attempt(preset, picture=picture(b"no picture")).content.decode()
    assert not Job.objects.exists()


def test_a_preset_of_some_sources_is_tried_on_their_account_alone(attempt, preset, source, other_source):
    preset.allowed_sources.add(other_source)
    assert "source" in attempt(preset).context["form"].errors


@pytest.mark.parametrize("job", ["x", "00000000-0000-0000-0000-000000000000"])
def test_a_trial_that_never_was_is_not_found(ops, preset, job):
    assert ops.get(f"/admin/models_registry/stylepreset/{preset.pk}/try/?job={job}").status_code == 404


def test_who_may_only_look_tries_nothing(client, django_user_model, preset):
    user = django_user_model.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    assert client.post(f"/admin/models_registry/stylepreset/{preset.pk}/try/").status_code == 403


def test_the_words_of_a_style_are_shown_before_it_is_saved(ops, db):
    form = {
        "style": "{prompt}, oil",
        "negative_style": "text",
        "prompt": "a circle",
        "negative_prompt": "blur",
    }
    answer = ops.post("/admin/models_registry/promptstyle/preview/", form)
    assert answer.json() == {"prompt": "a circle, oil", "negative_prompt": "blur, text"}
    assert not PromptStyle.objects.exists()
    assert "words-preview" in ops.get("/admin/models_registry/promptstyle/add/").content.decode()
