"""Paginated lists of the model files that a source may use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import PurePosixPath
from typing import Any, ClassVar

from pydantic import Field

from access.models import BusinessSource
from dialects.zhiqite.authentication import DIALECT
from dialects.zhiqite.request.json_body import Name, Wire
from models_registry.models import Family, Kind, ModelFile
from models_registry.selectors import list_for

BASES = {Family.SD15: "SD 1.5", Family.SD2: "SD 2.1", Family.SDXL: "SDXL 1.0"}
ENABLED, UPLOADED = 1, 2
Row = dict[str, Any]


class Query(Wire, ABC):
    """Body of a list request. Filters match a part of the name, ignoring case."""

    KIND: ClassVar[Kind]

    pageSize: int = Field(ge=1, le=500)
    pageNum: int = Field(ge=1, le=1_000_000)

    @abstractmethod
    def row(self, file: ModelFile) -> Row:
        """The row of a file."""

    def page(self, source: BusinessSource) -> dict[str, Any]:
        """One page. The filters run in Python, because some of the fields are not columns; lists have hundreds of rows."""
        rows = [self.row(file) for file in list_for(self.KIND, source, dialect=DIALECT).order_by("pk")]
        matching = [row for row in rows if self._matches(row)]
        first = (self.pageNum - 1) * self.pageSize
        return {
            "rows": matching[first : first + self.pageSize],
            "total": len(matching),
            "pageSize": self.pageSize,
            "pageNum": self.pageNum,
        }

    def _matches(self, row: Row) -> bool:
        filters = {name: getattr(self, name) for name in type(self).model_fields if name in row}
        return all(part.lower() in row[name].lower() for name, part in filters.items())


class Checkpoints(Query):
    KIND = Kind.CHECKPOINT

    sdModelCheckpoint: Name = ""
    sdModelName: Name = ""

    def row(self, file: ModelFile) -> Row:
        names = {"sdModelCheckpoint": _file_name(file), "sdModelName": file.name}
        return {"id": file.pk, **names, **_base(file), **_common(file, "Checkpoint"), **COVER_IMAGE}


class Loras(Query):
    KIND = Kind.LORA

    sdLoraFileName: Name = ""
    sdLoraName: Name = ""

    def row(self, file: ModelFile) -> Row:
        return {
            "id": file.pk,
            **lora_names(file),
            **_base(file),
            **_common(file, "LORA"),
            **COVER_IMAGE,
        }


class Vaes(Query):
    KIND = Kind.VAE

    sdVaeFileName: Name = ""
    sdVaeName: Name = ""

    def row(self, file: ModelFile) -> Row:
        names = {"sdVaeName": file.name, "sdVaeFileName": _file_name(file)}
        return {"id": file.pk, **names, **_common(file, "VAE")}


class Embeddings(Query):
    KIND = Kind.EMBEDDING

    sdEmbeddingFileName: Name = ""
    sdEmbeddingName: Name = ""

    def row(self, file: ModelFile) -> Row:
        return {
            "id": file.pk,
            "sdEmbeddingName": file.name,
            "sdEmbeddingFileName": _file_name(file),
            "sdEmbeddingFileSimplifyName": file.name,  # the name to use in a prompt
            **_base(file),
            **_common(file, "TextualInversion"),
            **COVER_IMAGE,
        }


COVER_IMAGE: Row = {"modelImgUrl2": None}
LISTS: dict[str, type[Query]] = {
    "queryModelList": Checkpoints,
    "queryLoraList": Loras,
    "queryLoralList": Loras,  # the vendor's documentation has this spelling
    "queryVaeList": Vaes,
    "queryEmbeddingList": Embeddings,
}


def lora_names(file: ModelFile) -> Row:
    """Names of a LoRA, and the words that call what it has learned."""
    name = _file_name(file)
    return {
        "sdLoraName": file.name,
        "sdLoraFileName": name,
        "sdLoraFileSimplifyName": PurePosixPath(name).stem,
        "modelTriggerWords": file.trigger_words,
    }


def _file_name(file: ModelFile) -> str:
    return PurePosixPath(file.path).name


def _base(file: ModelFile) -> Row:
    return {"modelBaseModel": BASES.get(Family(file.family), "")}


def _common(file: ModelFile, kind: str) -> Row:
    return {
        "modelHash": file.sha256.upper(),
        "modelType": kind,
        "modelVersion": str(file.metadata.get("modelspec.version", "")),
        "modelStatus": ENABLED,
        "modelUploadStatus": UPLOADED,
    }
