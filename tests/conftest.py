import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.utils import translation

from access.models import AccessKey, BusinessSource
from gpu_runner.protocol import GenerationRequest
from jobs.admission.submission import Submission
from jobs.execution import completion_waiter
from models_registry.models import FOLDERS, Family, Kind, ModelFile, WorkflowTemplate
from models_registry.models.workflow_templates import shipped
from tests.support.migrated_database import MigratedDatabase
from tests.support.text_model_server import TextModelServer

SECRET_KEY = "only for tests"
TESTS = Path(__file__).parent

# Shared machines are slow at times; no test has a limit in wall-clock time. Every run sends the same requests, so that
# a change fails for what it does and not for what it happened to be asked; FUZZ_EXAMPLES looks for new failures.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize="FUZZ_EXAMPLES" not in os.environ, database=None
)
hypothesis.settings.load_profile("tests")


def pytest_configure() -> None:
    """The settings module is loaded before any conftest, so the key goes to both: settings, and child processes."""
    os.environ.setdefault("SECRET_KEY", SECRET_KEY)
    django_settings.SECRET_KEY = os.environ["SECRET_KEY"]
    # A hash that is meant to be slow costs more than the rest of a console test.
    django_settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    # Before torch is imported: workers of one run that share the cores' threads as well wait for each other.
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // workers)))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One per core, and one more if processes are tested, because those tests mostly wait. At most four."""
    waits = "not processes" not in config.option.markexpr
    return min((os.cpu_count() or 1) + waits, 4)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skips modules, and folders of them, that ``-m "not slow and …"`` deselects as a whole.

    Otherwise each worker of xdist imports them, which takes as long as many tests.
    """
    terms = config.option.markexpr.split(" and ")
    if not all(term.startswith("not ") for term in terms):
        return None
    deselected = {term.removeprefix("not ") for term in terms}
    paths = collection_path.rglob("*") if collection_path.is_dir() else [collection_path]
    marks = [_marks_of_module(path) for path in paths if path.match("test_*.py")]
    return True if marks and all(deselected & names for names in marks) else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use the database, and those of them that ``make test`` repeats on PostgreSQL.

    Before ``-m`` selects by these marks.
    """
    for item in items:
        if _uses_database(item):
            item.add_marker("database")
            if _has_sql_of_its_own(item):
                item.add_marker("postgres")


def _uses_database(item: pytest.Item) -> bool:
    fixtures = set(getattr(item, "fixturenames", ()))
    return item.get_closest_marker("django_db") is not None or bool(fixtures & {"db", "transactional_db"})


def _has_sql_of_its_own(item: pytest.Item) -> bool:
    """In the packages that hold the tables, or with transactions that others see."""
    django_db = item.get_closest_marker("django_db")
    transactional = bool(django_db and django_db.kwargs.get("transaction"))
    in_package = item.path.relative_to(TESTS).parts[0] in ("access", "jobs", "models_registry")
    return in_package or transactional or "transactional_db" in getattr(item, "fixturenames", ())


def _marks_of_module(path: Path) -> set[str]:
    found = re.search(r"^pytestmark = .*(\n .*)*", path.read_text(), re.MULTILINE)
    marks = set(re.findall(r"mark\.(\w+)", found[0])) if found else set()
    return marks | {"database"} if "django_db" in marks else marks


@pytest.fixture(scope="session")
def migrated_database(tmp_path_factory) -> MigratedDatabase:
    return MigratedDatabase.of_the_run(tmp_path_factory)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Of SQLite there may be a file already: the one that another worker has migrated."""
    return connection.vendor == "sqlite"


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings, migrated_database, tmp_path_factory) -> None:
    """SQLite in a file, as in real life: the threads of a test need connections of their own."""
    if connection.vendor == "sqlite":
        name = tmp_path_factory.mktemp("database") / "test.sqlite3"
        connection.settings_dict["TEST"]["NAME"] = str(name)
        migrated_database.begin(name)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, migrated_database: MigratedDatabase) -> Iterator[None]:
    """PostgreSQL drops no database to which somebody listens: the watcher of jobs is gone before."""
    if connection.vendor == "sqlite":
        migrated_database.end(Path(connection.settings_dict["NAME"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(completion_waiter, "IDLE_TIMEOUT_S", 0.1)
        yield
        for thread in threading.enumerate():
            if thread.name == "job-watcher":
                thread.join()


@pytest.fixture(autouse=True)
def language() -> None:
    """A request leaves its language to the thread, and so to the next test."""
    translation.deactivate()


@pytest.fixture(autouse=True)
def nothing_is_cached() -> None:
    """The rows of one test have the keys of another's."""
    cache.clear()


@pytest.fixture(autouse=True)
def storage_folder(settings, tmp_path: Path) -> Path:
    """Folder of this test's images."""
    folder = tmp_path / "storage"
    settings.STORAGES = settings.STORAGES | {
        "default": _files(folder),
        "targets": _files(tmp_path / "targets"),
    }
    return folder


def _files(folder: Path) -> dict[str, object]:
    return {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(folder)}}


@pytest.fixture
def source(db) -> BusinessSource:
    return BusinessSource.objects.create(name="shop")


@pytest.fixture
def other_source(db) -> BusinessSource:
    return BusinessSource.objects.create(name="blog")


@pytest.fixture
def key(source: BusinessSource) -> AccessKey:
    key, _secret = AccessKey.issue(source)
    return key


@pytest.fixture
def checkpoint(db) -> ModelFile:
    return ModelFile.objects.create(
        kind=Kind.CHECKPOINT,
        family=Family.SD15,
        name="shapes",
        path="checkpoints/shapes.safetensors",
        sha256=hashlib.sha256(b"shapes").hexdigest(),
        is_default=True,
    )


@pytest.fixture
def face_models(db) -> dict[str, ModelFile]:
    """One that finds faces and one that restores them, by kind."""
    files = {Kind.FACE_DETECTOR: "yunet.onnx", Kind.FACE_RESTORER: "GFPGANv1.4.pth"}
    return {
        kind: ModelFile.objects.create(
            kind=kind, name=name.rpartition(".")[0], path=f"{FOLDERS[kind]}/{name}", sha256=digit * 64
        )
        for digit, (kind, name) in zip("df", files.items(), strict=True)
    }


@pytest.fixture
def submission(key: AccessKey, checkpoint: ModelFile) -> Callable[..., Submission]:
    """``submission(source=..., lane=..., width=...)``: names of the request's fields go into the request."""

    def make(**fields) -> Submission:
        asked = {name: fields.pop(name) for name in list(fields) if name in GenerationRequest.model_fields}
        request = GenerationRequest(**({"prompt": "a red circle", "width": 64, "height": 64} | asked))
        given = {"source": key.source, "key": key, "dialect": "a1111", "operation": "txt2img"} | fields
        return Submission(request=request, **given)

    return make


@pytest.fixture
def text_model(settings) -> Iterator[TextModelServer]:
    """The platform's text model."""
    server = TextModelServer()
    yield server.configure(settings)
    server.close()


@pytest.fixture
def workflow_templates(db) -> None:
    """Those that ship; a test with transactions of its own may have emptied their table."""
    for fields in shipped():
        WorkflowTemplate.objects.get_or_create(name=fields["name"], defaults=fields)


@pytest.fixture
def together(transactional_db) -> Callable[..., list]:
    """Makes all calls at the same time, each in a thread with a connection of its own. Their answers, in order."""

    def together(*calls: Callable) -> list:
        ready = threading.Barrier(len(calls))

        def make(call: Callable):
            ready.wait()
            try:
                return call()
            finally:
                connection.close()

        with ThreadPoolExecutor(len(calls)) as pool:
            return [answer.result() for answer in [pool.submit(make, call) for call in calls]]

    return together
