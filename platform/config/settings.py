"""Django settings. All values come from environment variables, which `.env.example` lists."""

from datetime import time
from pathlib import Path
from typing import Any

from django.templatetags.static import static
from django.utils.translation import gettext_lazy as _
from environs import Env

from gpu_runner import logs

env = Env()

_SOURCE_DIR = Path(__file__).resolve().parents[2]
IS_CHECKOUT = (_SOURCE_DIR / "manage.py").exists()
# An installed wheel keeps its data below the current directory, and has templates and translations in this package.
BASE_DIR = _SOURCE_DIR if IS_CHECKOUT else Path.cwd()
TEMPLATES_DIR = BASE_DIR / "templates" if IS_CHECKOUT else Path(__file__).with_name("templates")
LOCALE_DIR = BASE_DIR / "platform" / "locale" if IS_CHECKOUT else Path(__file__).with_name("locale")


@env.parser_for("days")
def days(text: str) -> int | None:
    """A number of days; an empty variable counts as unset."""
    return int(text) if text else None


@env.parser_for("hours")
def hours(text: str) -> tuple[time, time] | None:
    """Times of a day, such as 22:00-06:00; an empty variable counts as unset."""
    if not text:
        return None
    begin, separator, end = text.partition("-")
    if not separator:
        raise ValueError("must be two times, such as 22:00-06:00")
    return time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())


# Set by `make run`. Demo mode has defaults that would be unsafe in production.
DEMO = env.bool("ATELIER_DEMO", default=False)
DATA_DIR = env.path("DATA_DIR", default=BASE_DIR / "var").absolute()
MODELS_ROOT = env.path("MODELS_ROOT", default=DATA_DIR / "models").absolute()
MODEL_UPLOAD_MAX_BYTES = env.int("MODEL_UPLOAD_MAX_BYTES", default=16 * 1024**3)

DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="")  # required: config.checks reports an error if it is empty
# Encrypt the secrets of access keys at rest; default: SECRET_KEY. Comma-separated: the first encrypts, all decrypt.
FIELD_ENCRYPTION_KEYS: list[str] = env.list("FIELD_ENCRYPTION_KEYS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", default=False) else None
)
# Networks of trusted reverse proxies, such as 10.0.0.5/32. X-Forwarded-For is used only if it comes from them.
TRUSTED_PROXIES: list[str] = env.list("TRUSTED_PROXIES", default=[])
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.bool("BEHIND_TLS_PROXY", default=False)

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin, so that its templates take precedence
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "telemetry",
    "config",
    "access",
    "models_registry",
    "jobs",  # before django_q, whose command qcluster it replaces
    "django_q",
    "dialects.a1111",
    "dialects.ark",
    "dialects.native",
    "dialects.stablediffusionapi",
    "dialects.smzdm",
    "dialects.zhiqite",
    "dialects.volcengine",
    "dialects.openai",
    "operations",
    "console",
]

MIDDLEWARE = [
    "telemetry.request_log.RequestLog",
    "config.database_outage.DatabaseOutage",
    "access.addresses.client_address.ClientAddress",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "access.addresses.hosts.HostCheck",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "console.audit.middleware.AuditTrail",
]

ROOT_URLCONF = "config.urls"
CSRF_FAILURE_VIEW = "config.error_pages.csrf_failure"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False  # a redirect would turn a client's POST into a GET

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [TEMPLATES_DIR],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": env.dj_db_url(
        "DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'atelier.sqlite3'}", conn_max_age=600
    )
}
if DATABASES["default"]["ENGINE"] == "django.db.backends.sqlite3":
    # IMMEDIATE: transactions take the write lock at their start, instead of failing when they upgrade a read lock.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=20000;",
    }
else:
    # A connection that a restart of PostgreSQL has closed is replaced before a request or a task uses it.
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]

LANGUAGE_CODE = env.str("LANGUAGE_CODE", default="en")
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [LOCALE_DIR]
FORMAT_MODULE_PATH = "config.formats"
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_I18N = True
USE_TZ = True

LOGIN_REDIRECT_URL = "/admin/"  # after a sign-in at /admin/login/ itself
STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
MEDIA_ROOT = DATA_DIR / "media"
STORAGES: dict[str, Any] = {
    # Input images and outputs. Other backends of django-storages (S3, …) are configured by environment variables.
    "default": {
        "BACKEND": env.str("STORAGE_BACKEND", default="django.core.files.storage.FileSystemStorage"),
        "OPTIONS": env.json("STORAGE_OPTIONS", default={"location": str(MEDIA_ROOT)}),
    },
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
    # Storages that clients may have their images copied to. Rows of jobs.StorageTarget refer to them by name.
    "targets": {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(DATA_DIR / "targets")},
    },
}
STORAGES |= env.json("STORAGE_TARGETS", default={})

UNFOLD = {
    "SITE_TITLE": "Atelier 画坊",
    "SITE_HEADER": "Atelier 画坊",
    "SITE_SYMBOL": "palette",
    "SITE_URL": None,  # no "view site" link: / belongs to a dialect
    "SHOW_LANGUAGES": True,
    "STYLES": [lambda request: static("console/theme.css")],
    "SIDEBAR": {"show_search": True, "navigation": "console.navigation.navigation"},
    "DASHBOARD_CALLBACK": "console.dashboard.views.dashboard",
}

# Django's default of 2.5 MB is too small for one base64 image.
# Of a form with the images of a training, and of an archive with them that is fetched.
TRAINING_UPLOAD_MAX_BYTES = env.int("TRAINING_UPLOAD_MAX_BYTES", default=256 * 1024 * 1024)
DATA_UPLOAD_MAX_NUMBER_FILES = 500  # a data set has at most 200 images with a caption each
DATA_UPLOAD_MAX_MEMORY_SIZE = env.int("MAX_BODY_BYTES", default=40 * 1024 * 1024)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],  # each dialect sets its own
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Atelier API",
    "DESCRIPTION": "Submit image generation requests as jobs, follow their progress and download the images.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["dialects.native.openapi.only_native"],
    "POSTPROCESSING_HOOKS": [],
    "SWAGGER_UI_DIST": "SIDECAR",  # the page works without the internet
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# A synchronous request that waits for its job, and an open event stream, occupy a web thread. At most half of the
# threads of a process wait, and a quarter stream, with a limit for each source; the others serve everything else.
WEB_THREADS = env.int("WEB_THREADS", default=64)
WAITING_REQUESTS = WEB_THREADS // 2
WAITING_REQUESTS_PER_SOURCE = env.int("WAITING_REQUESTS_PER_SOURCE", default=max(1, WEB_THREADS * 3 // 8))
EVENT_STREAMS = WEB_THREADS // 4
EVENT_STREAMS_PER_SOURCE = env.int("EVENT_STREAMS_PER_SOURCE", default=8)
EVENT_HEARTBEAT_S = env.float("EVENT_HEARTBEAT_S", default=15.0)

# Name of the runner (row of jobs.Runner) that the generation cluster of this host uses.
RUNNER_NAME = env.str("RUNNER_NAME", default="local")
RUNNER_TOKEN = env.str("RUNNER_TOKEN", default="")

JOB_LEASE_S = env.float(
    "JOB_LEASE_S", default=30.0
)  # running jobs whose lease is not renewed are queued again
# Claimed jobs that no worker of the generation cluster has begun after this time are queued again.
JOB_HAND_OVER_S = env.float("JOB_HAND_OVER_S", default=10.0)
JOB_TIMEOUT_S = env.int("JOB_TIMEOUT_S", default=1800)  # maximum run time of a job
TRAINING_TIMEOUT_S = env.int("TRAINING_TIMEOUT_S", default=24 * 3600)  # the same of a training
# When trainings run, in local time, such as 22:00-06:00 (unset: always); at the end they pause. How long no image must have
# been drawn before one starts (unset: trainings do not look at the runners); running ones go on.
TRAINING_HOURS: tuple[time, time] | None = env.hours("TRAINING_HOURS", default=None)
TRAINING_IDLE_S: float | None = env.float("TRAINING_IDLE_S", default=None)
JOB_WAIT_S = env.float("JOB_WAIT_S", default=300.0)  # how long a synchronous request waits for its job
JOB_MAX_AGE_S = env.int("JOB_MAX_AGE_S", default=24 * 3600)  # jobs that are queued for longer expire

# Default retention in days after the end of a job, for sources without their own; unset: forever.
# ARCHIVE_JOBS_DAYS: age at which jobs without images are moved to the archive.
KEEP_PICTURES_DAYS: int | None = env.days("KEEP_PICTURES_DAYS", default=None)
KEEP_INPUTS_DAYS: int | None = env.days("KEEP_INPUTS_DAYS", default=None)
KEEP_JOBS_DAYS: int | None = env.days("KEEP_JOBS_DAYS", default=None)
KEEP_TRAINED_MODELS_DAYS: int | None = env.days("KEEP_TRAINED_MODELS_DAYS", default=None)
ARCHIVE_JOBS_DAYS: int | None = env.days("ARCHIVE_JOBS_DAYS", default=None)

# stablediffusionapi dialect: how long a request waits before the response is "processing", whether errors of the
# old versions have an HTTP error status, and the prompt style that "enhance_prompt" applies.
STABLEDIFFUSIONAPI_WAIT_S = env.float("STABLEDIFFUSIONAPI_WAIT_S", default=25.0)
STABLEDIFFUSIONAPI_REAL_STATUS = env.bool("STABLEDIFFUSIONAPI_REAL_STATUS", default=False)
STABLEDIFFUSIONAPI_ENHANCE_STYLE = env.str("STABLEDIFFUSIONAPI_ENHANCE_STYLE", default="enhance_prompt")
# Volcengine dialect: allowed clock skew, HTTP status for expired signatures, and how long results can be queried.
VOLCENGINE_CLOCK_WINDOW_S = env.float("VOLCENGINE_CLOCK_WINDOW_S", default=900.0)
VOLCENGINE_EXPIRED_STATUS = env.int("VOLCENGINE_EXPIRED_STATUS", default=400)
VOLCENGINE_RESULT_AGE_S = env.int("VOLCENGINE_RESULT_AGE_S", default=12 * 3600)

# Outgoing requests (input images by URL, callbacks) go to the public internet and to these hosts and networks.
INPUT_URLS = env.bool("INPUT_URLS", default=True)
OUTBOUND_ALLOWED: list[str] = env.list("OUTBOUND_ALLOWED", default=[])
OUTBOUND_CA_FILE = env.str("OUTBOUND_CA_FILE", default="")  # PEM, trusted in addition to the system's CAs
FETCH_MAX_BYTES = env.int("FETCH_MAX_BYTES", default=32 * 1024 * 1024)
FETCH_TIMEOUT_S = env.float("FETCH_TIMEOUT_S", default=30.0)
MODEL_FETCH_TIMEOUT_S = env.float("MODEL_FETCH_TIMEOUT_S", default=3600.0)

# Text model: an OpenAI-compatible chat API of the operator, which may be in a private network. It translates and
# expands prompts; TEXT_MODEL_VISION is the model that describes images. TEXT_MODEL_OPTIONS (JSON) are further members
# of the request, such as those that turn off a model's thinking.
TEXT_MODEL_URL = env.str("TEXT_MODEL_URL", default="")
TEXT_MODEL_KEY = env.str("TEXT_MODEL_KEY", default="")
TEXT_MODEL_NAME = env.str("TEXT_MODEL_NAME", default="")
TEXT_MODEL_VISION = env.str("TEXT_MODEL_VISION", default="")
TEXT_MODEL_TIMEOUT_S = env.float("TEXT_MODEL_TIMEOUT_S", default=15.0)
TEXT_MODEL_OPTIONS: Any = env.json("TEXT_MODEL_OPTIONS", default={})

# Labels of generated images, for sources without their own (docs/labels.md): provider and propagator in the AIGC
# object of image files; no object without a provider. IPTC digital source type in all files.
CONTENT_PRODUCER = env.str("CONTENT_PRODUCER", default="")
CONTENT_PROPAGATOR = env.str("CONTENT_PROPAGATOR", default="")
DIGITAL_SOURCE_TYPE = env.bool("DIGITAL_SOURCE_TYPE", default=True)
# Visible label: height in percent of the shorter side, opacity from 0.3 to 1. Images that a source has without it by
# its consent are logged for UNLABELED_LOG_DAYS; the law asks for six months.
EXPLICIT_LABEL = env.bool("EXPLICIT_LABEL", default=False)
LABEL_TEXT = env.str("LABEL_TEXT", default="AI生成")
LABEL_CORNER = env.str("LABEL_CORNER", default="bottom-right")
LABEL_HEIGHT = env.float("LABEL_HEIGHT", default=5.0)
LABEL_OPACITY = env.float("LABEL_OPACITY", default=0.6)
UNLABELED_LOG_DAYS = env.int("UNLABELED_LOG_DAYS", default=365)
# Signed C2PA manifests: PEM files of the certificate chain and of its key, and the algorithm of the key.
C2PA_CERTIFICATE = env.str("C2PA_CERTIFICATE", default="")
C2PA_KEY = env.str("C2PA_KEY", default="")
C2PA_ALGORITHM = env.str("C2PA_ALGORITHM", default="es256")

# Zhiqite clients expect HTTP status 200 and read the code in the body. If set, errors have an HTTP error status.
ZHIQITE_HTTP_ERRORS = env.bool("ZHIQITE_HTTP_ERRORS", default=False)

# Retention of the console's audit trail.
AUDIT_KEEP_DAYS = env.int("AUDIT_KEEP_DAYS", default=365)

# Base URL in responses; empty: scheme and host of the request.
PUBLIC_URL = env.str("PUBLIC_URL", default="")
PICTURE_URL_KEY = env.str("PICTURE_URL_KEY", default="")  # signs image URLs; default: SECRET_KEY
PICTURE_URL_AGE_S = env.int("PICTURE_URL_AGE_S", default=7 * 24 * 3600)
# Redirect image URLs to the storage, if the storage provides URLs.
PICTURE_REDIRECTS = env.bool("PICTURE_REDIRECTS", default=False)

# SMZDM dialect: whether `from` is required, and the source of requests without it.
SMZDM_FROM_REQUIRED = env.bool("SMZDM_FROM_REQUIRED", default=False)
SMZDM_DEFAULT_SOURCE = env.str("SMZDM_DEFAULT_SOURCE", default="demo" if DEMO else "")

# /metrics requires this bearer token or an address in these networks. If neither is set, it is not found.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
METRICS_NETWORKS: list[str] = env.list("METRICS_NETWORKS", default=["127.0.0.0/8", "::1/128"] if DEMO else [])
# /readyz fails if less disk space than this is free below DATA_DIR.
DISK_FREE_MIN_MB = env.int("DISK_FREE_MIN_MB", default=500)

# Generation workers only wait for runners, so there may be more of them than CPU cores.
GENERATION_WORKERS = env.int("GENERATION_WORKERS", default=8)
Q_CLUSTER = {
    "name": "background",
    "orm": "default",
    "workers": env.int("BACKGROUND_WORKERS", default=2),
    "timeout": 900,
    "retry": 1200,
    "max_attempts": 3,
    "ack_failures": True,
    "catch_up": False,
    "poll": 1.0,
    "save_limit": 1000,
    "label": _("Background tasks"),  # the heading in the admin
    "broker_class": "jobs.scheduling.broker.FairBroker",
    "ALT_CLUSTERS": {
        "generation": {
            "workers": GENERATION_WORKERS,
            "queue_limit": GENERATION_WORKERS,
            "timeout": JOB_TIMEOUT_S + 60,
            "retry": JOB_TIMEOUT_S + 120,
            "max_attempts": 1,
            "save_limit": -1,
        }
    },
}

LOGGING = logs.configuration(env.str("LOG_FORMAT", default="line"), env.str("LOG_LEVEL", default="INFO"))
