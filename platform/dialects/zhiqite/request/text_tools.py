"""Tools whose result is text, by the operator's text model. The response has it; there is no task to query."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, ClassVar

from django.utils.translation import gettext as _
from pydantic import AliasChoices, BeforeValidator, Field, field_validator

from access.models import AccessKey, BusinessSource
from jobs.errors import TextModelMissing
from jobs.text_model import functions
from models_registry.models import Kind
from models_registry.selectors import names_for

from .json_body import Id, Link, Prompt, Wire

DONE = 0  # ``status`` of the vendor's documented response


class TextTool(Wire, ABC):
    """Body of a tool that returns text."""

    without_effect: ClassVar[tuple[str, ...]] = ()

    businessTaskId: Id = ""
    callbackUrl: Link = ""

    @field_validator("callbackUrl")
    @classmethod
    def response_has_the_result(cls, url: str) -> str:
        raise ValueError(_("must be absent: the response has the result"))

    @abstractmethod
    def result(self, source: BusinessSource) -> dict[str, Any]:
        """The fields of the response that have the result. Raises Refused or WireError."""

    def response(self, key: AccessKey, tool: str) -> dict[str, Any]:
        """``data`` of the response. Raises Refused or WireError."""
        if not key.source.text_model:
            message = _("%(source)s may not use the text model.") % {"source": key.source.name}
            raise TextModelMissing(message)
        result = self.result(key.source)
        return {
            "status": DONE,
            **result,
            "taskId": self.businessTaskId,
            "toolTask": tool,
            "businessTaskId": self.businessTaskId,
            "note": self._note(),
        }

    def _note(self) -> str | None:
        sent = [name for name in self.without_effect if name in self.model_fields_set]
        if not sent:
            return None
        message = _("no effect: %(fields)s; the settings of the text model are the operator's")
        return message % {"fields": ", ".join(sent)}


class PromptTool(TextTool):
    """Body of the tools for prompts."""

    # The vendor's parameters of its own model.
    without_effect = (
        *("mode", "topK", "topP", "temperature", "repetitionPenalty"),
        *("maxTokens", "minTokens", "sequencesNum"),
    )

    sourcePrompt: Annotated[Prompt, Field(min_length=1)]
    mode: int = Field(default=0, ge=0, le=1)
    topK: int = Field(default=0, ge=0, le=250)
    topP: float = Field(default=1.0, ge=0.01, le=1, allow_inf_nan=False)
    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    repetitionPenalty: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    maxTokens: int = Field(default=0, ge=0)
    minTokens: int = Field(default=0, ge=0)
    sequencesNum: int = Field(default=1, ge=1)


class Expand(PromptTool):
    """Appends details to a prompt."""

    def result(self, source: BusinessSource) -> dict[str, Any]:
        return {"prompts": [functions.expand(self.sourcePrompt, "en", _embeddings(source))]}


class Optimize(PromptTool):
    """Rewrites a prompt, and writes a negative prompt."""

    def result(self, source: BusinessSource) -> dict[str, Any]:
        optimized = functions.optimize(self.sourcePrompt, "en", _embeddings(source))
        return {"prompts": [optimized.prompt], "negativePrompt": optimized.negative_prompt}


class ExpandAndOptimize(PromptTool):
    """Rewrites a prompt, and appends details to it."""

    def result(self, source: BusinessSource) -> dict[str, Any]:
        embeddings = _embeddings(source)
        optimized = functions.optimize(self.sourcePrompt, "en", embeddings)
        expanded = functions.expand(optimized.prompt, "en", embeddings)
        return {"prompts": [expanded], "negativePrompt": optimized.negative_prompt}


def _embeddings(source: BusinessSource) -> list[str]:
    """Names of embeddings, which stay in a prompt as they are."""
    return names_for(Kind.EMBEDDING, source)


def _language(value: Any) -> Any:
    """``zh_CN`` and ``zh-Hans`` are ``zh``; zh-TW is a language of its own."""
    if not isinstance(value, str):
        return value
    code = value.strip().lower().replace("_", "-")
    code = {"zh-hant": "zh-tw", "zh-hk": "zh-tw", "cht": "zh-tw"}.get(code, code)
    return code if code in functions.LANGUAGES else code.partition("-")[0]


class Translate(TextTool):
    """Translates a text."""

    text: Annotated[Prompt, Field(min_length=1, validation_alias=AliasChoices("text", "sourceText"))]
    targetLanguage: Annotated[str, BeforeValidator(_language), Field(max_length=20)] = "en"

    def result(self, source: BusinessSource) -> dict[str, Any]:
        translation = functions.translate(self.text, self.targetLanguage)
        return {"translation": translation, "targetLanguage": self.targetLanguage}


TEXT_TOOLS: dict[str, type[TextTool]] = {
    "prompts/expand": Expand,
    "prompts/optimize": Optimize,  # [R]
    "prompts/expandOptimize": ExpandAndOptimize,  # [R]
    "translate": Translate,  # [R]
}
