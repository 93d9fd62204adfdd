"""Routes of the Ark dialect, below /api/v3/. Other routes there belong to the stablediffusionapi.com dialect."""

from django.urls import URLPattern, path, re_path

from .base import OtherEndpoint
from .views import Images

app_name = "ark"

OTHERS = (
    r"chat/completions|batch/chat/completions|bots/chat/completions|completions|responses(?:/[^/]+)*|embeddings"
    r"|embeddings/multimodal|contents/generations/tasks(?:/[^/]+)?|files(?:/[^/]+)*|tokenization|context/[a-z/]+"
)

urlpatterns: list[URLPattern] = [
    path("images/generations", Images.as_view(), name="images"),
    re_path(rf"^(?:{OTHERS})/?$", OtherEndpoint.as_view()),
]
