"""Side bar of the console, filtered by permissions. Daily work comes first, one-time configuration last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from access.tenancy import is_tenant
from console.dashboard.setup.views import may_view as may_view_setup
from console.gallery.views import may_view as may_view_gallery
from console.tenants.roles import SUBMIT_JOBS, VIEW_COSTS
from console.trainings.visibility import may_view as may_view_trainings

Item = tuple[str | Promise, str, str]  # title, icon, "app_model"

GROUPS: list[tuple[str | Promise, list[Item]]] = [
    (
        _("Operation"),
        [
            (_("Jobs"), "image", "jobs_job"),
            (_("Callbacks"), "webhook", "jobs_callback"),
            (_("Runners"), "memory", "jobs_runner"),
            (_("Archive"), "inventory_2", "jobs_archivedjob"),
        ],
    ),
    (
        _("Tenants"),
        [
            (_("Business sources"), "storefront", "access_businesssource"),
            (_("Access keys"), "key", "access_accesskey"),
            (_("Ledger"), "receipt_long", "access_posting"),
        ],
    ),
    (
        _("Models"),
        [
            (_("All files"), "folder_open", "models_registry_modelfile"),
            (_("Checkpoints"), "deployed_code", "models_registry_checkpoint"),
            (_("LoRAs"), "tune", "models_registry_lora"),
            (_("VAEs"), "filter_vintage", "models_registry_vae"),
            (_("ControlNets"), "account_tree", "models_registry_controlnet"),
            (_("Embeddings"), "data_array", "models_registry_embedding"),
            (_("Upscalers"), "zoom_in", "models_registry_upscaler"),
            (_("Matting models"), "content_cut", "models_registry_matting"),
            (_("NSFW detectors"), "visibility_off", "models_registry_nsfwdetector"),
            (_("Face detectors"), "familiar_face_and_zone", "models_registry_facedetector"),
            (_("Face restorers"), "face_retouching_natural", "models_registry_facerestorer"),
            (_("Text detectors"), "match_case", "models_registry_textdetector"),
            (_("Taggers"), "sell", "models_registry_tagger"),
            (_("Object detectors"), "center_focus_strong", "models_registry_detector"),
            (_("Diffusion models"), "blur_on", "models_registry_diffusionmodel"),
            (_("Text encoders"), "text_format", "models_registry_textencoder"),
            (_("Preprocessors"), "gesture", "models_registry_preprocessor"),
            (_("Models from URLs"), "cloud_download", "jobs_modelintake"),
        ],
    ),
    (
        _("Styles and workflows"),
        [
            (_("Style presets"), "palette", "models_registry_stylepreset"),
            (_("Prompt styles"), "text_fields", "models_registry_promptstyle"),
            (_("Workflow templates"), "schema", "models_registry_workflowtemplate"),
        ],
    ),
    (
        _("Platform"),
        [
            (_("Storage targets"), "cloud_upload", "jobs_storagetarget"),
            (_("Users"), "person", "auth_user"),
            (_("Roles"), "group", "auth_group"),
            (_("Images without a visible label"), "label_off", "jobs_unlabeledimages"),
            (_("Audit trail"), "policy", "console_auditentry"),
            (_("Schedules"), "schedule", "django_q_schedule"),
            (_("Failed background tasks"), "error", "django_q_failure"),
        ],
    ),
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Users of tenants have a short one, with the pages that are made for them."""
    return _tenant_navigation() if is_tenant(request.user) else _operator_navigation(request)


def _tenant_navigation() -> list[dict[str, Any]]:
    jobs = _view_permission("jobs_job")
    pages: list[tuple[str | Promise, str, str, Callable[[HttpRequest], bool]]] = [
        (_("Overview"), "home", "console:home", lambda request: True),
        (_("Gallery"), "photo_library", "console:gallery", may_view_gallery),
        (_("Jobs"), "image", "admin:jobs_job_changelist", jobs),
        (_("Playground"), "brush", "console:playground", _permission(SUBMIT_JOBS)),
        (_("Trainings"), "model_training", "console:trainings", may_view_trainings),
        (_("Keys"), "key", "console:keys", _permission("access.view_accesskey")),
        (_("Usage"), "bar_chart", "console:usage", _permission(VIEW_COSTS)),
        (_("Models"), "deployed_code", "console:models", _permission("models_registry.view_modelfile")),
        (_("API"), "api", "console:apis", _permission("access.view_accesskey")),
    ]
    items = [
        {"title": title, "icon": icon, "link": reverse_lazy(url), "permission": permission}
        for title, icon, url, permission in pages
    ]
    return [{"title": "", "items": items}]


def _permission(name: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(name)


def _operator_navigation(request: HttpRequest) -> list[dict[str, Any]]:
    pages = [
        {"title": _("Dashboard"), "icon": "monitoring", "link": reverse_lazy("admin:index")},
        {
            "title": _("Gallery"),
            "icon": "photo_library",
            "link": reverse_lazy("console:gallery"),
            "permission": may_view_gallery,
        },
        {
            "title": _("Playground"),
            "icon": "brush",
            "link": reverse_lazy("console:playground"),
            "permission": lambda request: request.user.has_perm(SUBMIT_JOBS),
        },
        {
            "title": _("Trainings"),
            "icon": "model_training",
            "link": reverse_lazy("console:trainings"),
            "permission": may_view_trainings,
        },
        {
            "title": _("Read labels"),
            "icon": "new_label",
            "link": reverse_lazy("console:labels"),
            "permission": lambda request: request.user.has_perm("jobs.view_output"),
        },
        {
            "title": _("API"),
            "icon": "api",
            "link": reverse_lazy("console:apis"),
            "permission": _permission("access.view_accesskey"),
        },
        {
            "title": _("Setup"),
            "icon": "checklist",
            "link": reverse_lazy("console:setup"),
            "permission": may_view_setup,
        },
    ]
    groups = [
        {"title": title, "separator": True, "items": [_item(*item) for item in items]}
        for title, items in GROUPS
    ]
    return [{"title": "", "items": pages}, *(group for group in groups if _has_visible_item(group, request))]


def _item(title: str | Promise, icon: str, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model}_changelist"),
        "permission": _view_permission(model),
    }


def _view_permission(model: str) -> Callable[[HttpRequest], bool]:
    app, name = model.rsplit("_", 1)
    return lambda request: request.user.has_perm(f"{app}.view_{name}")


def _has_visible_item(group: dict[str, Any], request: HttpRequest) -> bool:
    return any(item["permission"](request) for item in group["items"])
