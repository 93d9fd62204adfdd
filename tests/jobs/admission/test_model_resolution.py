"""The model names of a request are resolved once per admission."""

import pytest

from jobs.admission.admit import admit
from jobs.admission.model_resolution import ModelResolver
from jobs.models import Job
from models_registry.errors import ModelNotFound
from models_registry.models import Kind


def test_default_checkpoint_is_looked_up_once(source, checkpoint, django_assert_num_queries):
    models = ModelResolver(source)
    with django_assert_num_queries(1):
        assert models.find(Kind.CHECKPOINT, "") == checkpoint
        assert models.find(Kind.CHECKPOINT, "") == checkpoint
        assert models.find(Kind.CHECKPOINT, checkpoint.name) == checkpoint


def test_new_resolver_does_not_find_a_file_that_was_disabled(source, checkpoint):
    ModelResolver(source).find(Kind.CHECKPOINT, checkpoint.name)
    checkpoint.enabled = False
    checkpoint.save()
    with pytest.raises(ModelNotFound):
        ModelResolver(source).find(Kind.CHECKPOINT, checkpoint.name)


def test_stored_request_is_validated_once(submission):
    job = Job.objects.get(pk=admit(submission()).pk)
    assert job.generation_request is job.generation_request
