"""Routes of stablediffusionapi.com, below /api/, with or without a trailing slash."""

from __future__ import annotations

from django.urls import URLPattern, re_path

from . import views
from .base import NotFound, StableDiffusionApiView
from .captions import Caption
from .endpoints import ENDPOINTS, ENTERPRISE
from .management import urls as management
from .moderation.views import CheckPrompt, DeleteImage
from .refused_tools import TOOLS
from .response import listings
from .training import urls as training

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
    "v6/video",
)
RELOADS = ("v3/dreambooth", "v4/dreambooth", "v6/images")
MODEL_LISTS = ("v3/dreambooth/model_list", "v4/dreambooth/model_list")
ANYTHING = r"(?:/[\s\S]*)?"
FETCH_NUMBER = "(?:/(?P<number>[^/]+))?"


def _route(path: str, view: type[StableDiffusionApiView], rest: str = "", **settings: object) -> URLPattern:
    return re_path(rf"^{path}{rest}/?$", view.as_view(path=path, **settings))


def is_enterprise(path: str) -> bool:
    return path.startswith(f"{ENTERPRISE}/")


# The native API is below /api/v1/ too. These few routes come before it, and all others after it.
enterprise: list[URLPattern] = [
    *(
        _route(path, views.of_endpoint(endpoint))
        for path, endpoint in ENDPOINTS.items()
        if is_enterprise(path)
    ),
    _route(f"{ENTERPRISE}/fetch", views.Fetch, rest=FETCH_NUMBER),
    *(_route(path, view, **settings) for path, view, settings in management.ENTERPRISE),
    *(_route(path, view, ANYTHING, **settings) for path, view, settings in management.REFUSED_ENTERPRISE),
    _route("v1/enterprise/get_all_models", views.Listing, rows=listings.model_rows),
    _route("v1/enterprise/schedulers_list", views.Listing, rows=listings.scheduler_list),
    _route("v1/enterprise", views.UnavailableEndpoint, rest=ANYTHING),
]
urlpatterns: list[URLPattern] = [
    _route("v6/image_editing/caption", Caption),  # before the other endpoints
    *(
        _route(path, views.of_endpoint(endpoint))
        for path, endpoint in ENDPOINTS.items()
        if not is_enterprise(path)
    ),
    *(_route(f"{folder}/fetch", views.Fetch, rest=FETCH_NUMBER) for folder in FETCHES),
    *(_route(f"{folder}/model_reload", views.ModelReload) for folder in RELOADS),
    *(_route(path, views.Listing, rows=listings.model_rows) for path in MODEL_LISTS),
    _route("v3/system_load", views.Listing, rows=listings.system_load),
    _route("v3/base64_crop", views.Crop),
    _route("v3/check_nsfw_cp", CheckPrompt),
    _route("v3/delete_image", DeleteImage),
    *(_route(path, view, **settings) for path, view, settings in management.PUBLIC),
    *(_route(path, view, rest, **settings) for path, view, rest, settings in training.ROUTES),
    *(_route(path, view, ANYTHING, **settings) for path, view, settings in management.REFUSED_PUBLIC),
    *(_route(path, view, ANYTHING, **settings) for path, view, settings in management.refused_routes(TOOLS)),
    re_path(r"^(?P<path>v[3-6](?:/[\s\S]*)?)$", NotFound.as_view()),
]
