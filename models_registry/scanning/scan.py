"""Bringing the registry up to date with the files below MODELS_ROOT."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from models_registry.models import ModelFile
from models_registry.scan_runs import ScanRun

from .file_discovery import model_files, why_not_storable
from .inspect_file import LEGACY_BEGIN, Findings, examine, legacy_hash

LONGEST_NAME = 255


@dataclass
class ScanReport:
    """Paths by what became of them."""

    added: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    renamed: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def summary(self) -> str:
        counts = {name: len(paths) for name, paths in asdict(self).items()}
        return ", ".join(f"{name} {count}" for name, count in counts.items() if count) or "no files"


def scan(root: Path | None = None, *, again: bool = False, run: ScanRun | None = None) -> ScanReport:
    """Registers, updates and marks; ``again`` examines even the files that did not change; ``run`` is told how far it is.

    FileNotFoundError when the root is not there: an unmounted disk must not mark every model as missing.
    """
    run = run or ScanRun.objects.create()
    try:
        report = _Scan(root or settings.MODELS_ROOT, again).run(run)
    except Exception as error:
        run.end(str(error), failed=True)
        raise
    run.end(report.summary())
    return report


def register(path: str, findings: Findings) -> ModelFile:
    """The row of one file below MODELS_ROOT that was examined just now."""
    root = settings.MODELS_ROOT
    try:
        return _Scan(root, again=True).one(path, findings)
    except IntegrityError:  # a scan was first
        return ModelFile.objects.get(path=path)


class _Scan:
    def __init__(self, root: Path, again: bool) -> None:
        self.root = root
        self.again = again
        self.report = ScanReport()
        self.rows = {row.path: row for row in ModelFile.objects.defer("metadata")}

    def one(self, path: str, findings: Findings) -> ModelFile:
        self.gone = {old: row for old, row in self.rows.items() if row.missing_since and old != path}
        return self._store(self._row(path, findings), path, findings, self._state(path))

    def run(self, run: ScanRun) -> ScanReport:
        paths = list(model_files(self.root))
        self.gone = {path: row for path, row in self.rows.items() if path not in set(paths)}
        run.begin(len(paths))
        for done, path in enumerate(paths):
            run.at(path, done)
            try:
                self._file(path)
            except FileNotFoundError:
                self.report.skipped[path] = "vanished during the scan"
            except IntegrityError:
                self.report.skipped[path] = "another scan was first"
        self._mark_seen()
        self._mark_missing()
        return self.report

    def _file(self, path: str) -> None:
        if why := why_not_storable(path):
            self.report.skipped[ascii(path)] = why
            return
        before = self._state(path)
        row = self.rows.get(path)
        if row and before == (row.size_bytes, row.modified_ns) and not self.again:
            self._unchanged(row)
            return
        findings = examine(self.root, path)
        if self._state(path) != before:
            self.report.skipped[path] = "still being written"
            return
        self._store(self._row(path, findings), path, findings, before)

    def _row(self, path: str, findings: Findings) -> ModelFile:
        return self.rows.get(path) or self._renamed(path, findings) or self._new(path)

    def _state(self, path: str) -> tuple[int, int]:
        stat = (self.root / path).stat()
        return stat.st_size, stat.st_mtime_ns

    def _unchanged(self, row: ModelFile) -> None:
        if row.sha256 and not row.legacy_hash and row.size_bytes > LEGACY_BEGIN:  # from before it was kept
            row.legacy_hash = legacy_hash(self.root / row.path)
            row.save(update_fields=["legacy_hash"])
        (self.report.returned if row.missing_since else self.report.unchanged).append(row.path)
        if row.problem:
            self.report.problems[row.path] = row.problem

    def _renamed(self, path: str, findings: Findings) -> ModelFile | None:
        """A file that moved keeps its row, and with it its name, its sources and its history."""
        same = [old for old, row in self.gone.items() if row.sha256 and row.sha256 == findings.sha256]
        if not same:
            return None
        self.report.renamed.append(path)
        return self.gone.pop(same[0])

    def _new(self, path: str) -> ModelFile:
        self.report.added.append(path)
        return ModelFile(name=PurePosixPath(path).stem[:LONGEST_NAME])

    def _store(self, row: ModelFile, path: str, findings: Findings, state: tuple[int, int]) -> ModelFile:
        if row.path == path:
            self.report.changed.append(path)
        if findings.problem:
            self.report.problems[path] = findings.problem
        _take_over(row, findings)
        row.path, (row.size_bytes, row.modified_ns) = path, state
        row.missing_since, row.scanned_at = None, timezone.now()
        row.name = free_name(row)
        with transaction.atomic():
            row.save()
        return row

    def _mark_seen(self) -> None:
        seen = [self.rows[path].pk for path in [*self.report.unchanged, *self.report.returned]]
        ModelFile.objects.filter(pk__in=seen).update(missing_since=None, scanned_at=timezone.now())

    def _mark_missing(self) -> None:
        newly = [row for row in self.gone.values() if row.missing_since is None]
        self.report.missing += [row.path for row in newly]
        ModelFile.objects.filter(pk__in=[row.pk for row in newly]).update(missing_since=timezone.now())


def _take_over(row: ModelFile, findings: Findings) -> None:
    row.problem = findings.problem[:300]
    if findings.problem and row.pk:
        return  # it stays what it was, with a problem, until it is whole again
    row.kind, row.family = findings.kind, findings.family
    row.sha256, row.tensors_sha256, row.metadata = findings.sha256, findings.tensors_sha256, findings.metadata
    row.legacy_hash = findings.legacy_hash
    row.licence = row.licence or findings.metadata.get("modelspec.license", "")[:200]
    row.trigger_words = row.trigger_words or findings.metadata.get("modelspec.trigger_phrase", "")[:500]


def free_name(row: ModelFile) -> str:
    """Its name, or the first of ``name-2``, ``name-3``... that no other file of its kind bears."""
    others = ModelFile.objects.filter(kind=row.kind).exclude(pk=row.pk)
    taken = set(others.filter(name__startswith=row.name[:240]).values_list("name", flat=True))
    name, number = row.name, 1
    while name in taken:
        number += 1
        name = f"{row.name[:240]}-{number}"
    return name
