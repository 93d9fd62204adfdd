"""Routes of stablediffusionapi.com, below /api/, with or without a trailing slash."""

from __future__ import annotations

from django.urls import URLPattern, re_path

from . import views
from .base import NotFound, StableDiffusionApiView
from .endpoints import ENDPOINTS
from .response import listings

FETCHES = (
    "v3",
    "v3/dreambooth",
    "v4/dreambooth",
    "v5/controlnet",
    "v5",
    "v5/images",
    "v6/images",
    "v6/realtime",
    "v6/image_editing",
)
RELOADS = ("v3/dreambooth", "v4/dreambooth", "v6/images")
MODEL_LISTS = ("v3/dreambooth/model_list", "v4/dreambooth/model_list")
ANYTHING = r"(?:/[\s\S]*)?"
TRAINING = (
    "v3/lora_fine_tune",
    "v3/fine_tune",
    "v3/fine_tune_v2",
    "v3/finetune_list",
    "v3/fine_tune_status",
    "v3/finetune/delete",
    "v3/cancle_training",
    "v3/load_model",
    "v3/text2video",
)


def _route(path: str, view: type[StableDiffusionApiView], rest: str = "", **settings: object) -> URLPattern:
    return re_path(rf"^{path}{rest}/?$", view.as_view(path=path, **settings))


# The native API is below /api/v1/ too. These few routes come before it, and all others after it.
enterprise: list[URLPattern] = [
    _route("v1/enterprise/get_all_models", views.Listing, rows=listings.model_rows),
    _route("v1/enterprise/schedulers_list", views.Listing, rows=listings.scheduler_list),
    _route("v1/enterprise", views.UnavailableEndpoint, rest=ANYTHING),
]
urlpatterns: list[URLPattern] = [
    *(_route(path, views.Generation) for path in ENDPOINTS),
    *(_route(f"{folder}/fetch", views.Fetch, rest="(?:/(?P<number>[^/]+))?") for folder in FETCHES),
    *(_route(f"{folder}/model_reload", views.ModelReload) for folder in RELOADS),
    *(_route(path, views.Listing, rows=listings.model_rows) for path in MODEL_LISTS),
    _route("v3/system_load", views.Listing, rows=listings.system_load),
    _route("v3/base64_crop", views.Crop),
    *(_route(path, views.UnavailableEndpoint, rest=ANYTHING) for path in TRAINING),
    re_path(r"^(?P<path>v[3-6](?:/[\s\S]*)?)$", NotFound.as_view()),
]
