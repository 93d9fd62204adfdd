"""Routes of the management endpoints: paths below /api/, and their views with settings."""

from __future__ import annotations

from typing import Any

from dialects.stablediffusionapi.base import StableDiffusionApiView

from . import model_views, refused, views

Route = tuple[str, type[StableDiffusionApiView], dict[str, Any]]

ENTERPRISE: list[Route] = [
    ("v1/enterprise/system_details", views.SystemDetails, {}),
    ("v1/enterprise/clear_cache", views.ClearCache, {}),
    ("v1/enterprise/clear_queue", views.ClearQueue, {}),
    ("v1/enterprise/upload_image", views.UploadImage, {}),
    ("v1/enterprise/verify_model", model_views.VerifyModel, {}),
    ("v1/enterprise/load_model", model_views.LoadModel, {"form": "load_model"}),
    ("v1/enterprise/load_model_v2", model_views.LoadModel, {"form": "load_model_v2"}),
    ("v1/enterprise/load_vae", model_views.LoadModel, {"form": "load_vae"}),
    ("v1/enterprise/delete_model", model_views.DeleteModel, {}),
]
PUBLIC: list[Route] = [
    ("v3/load_model", model_views.LoadModel, {"form": "v3"}),
    ("v3/clear_cache", views.ClearCache, {}),
    ("v3/base64_to_url", views.Base64ToUrl, {}),
    ("v3/assets_generated", views.AssetsGenerated, {}),
    ("v3/processing/request_count", views.RequestCount, {}),
    ("v3/subscribed_products", views.SubscribedProducts, {}),
    ("v3/wallet_balance", views.WalletBalance, {}),
]


def refused_routes(reasons: dict[str, Any]) -> list[Route]:
    return [(path, views.RefusedEndpoint, {"reason": reason}) for path, reason in reasons.items()]


REFUSED_ENTERPRISE = refused_routes(refused.ENTERPRISE)
REFUSED_PUBLIC = refused_routes(refused.PUBLIC)
