from tests.jobs.conftest import runner, together  # noqa: F401
