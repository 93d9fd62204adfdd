from tests.jobs.conftest import runner  # noqa: F401
