"""Scan: updates the registry from the files below MODELS_ROOT."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from models_registry import architectures
from models_registry.models import Kind, ModelFile
from models_registry.models.scan_runs import ScanRun
from models_registry.parts import fill_parts

from .description import describe, describe_again, store_cover
from .file_discovery import model_files, path_problem
from .inspect_file import LEGACY_BEGIN, FileInfo, inspect_file, legacy_hash, tag_table_problem

MAX_NAME_LENGTH = 255  # max_length of ModelFile.name
MAX_PROBLEM_LENGTH = 300  # max_length of ModelFile.problem
NAME_STEM_LENGTH = 240  # leaves room for a numeric suffix


@dataclass
class ScanReport:
    """Paths of the scanned files by outcome. ``problems`` and ``skipped`` map a path to the reason."""

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
    """Register new files, update changed and renamed ones, and mark missing ones.

    ``again``: inspect unchanged files too. ``run``: where progress is reported. Raises FileNotFoundError if ``root``
    does not exist, so that an unmounted disk does not mark all models as missing.
    """
    run = run or ScanRun.objects.create()
    try:
        report = _Scan(root or settings.MODELS_ROOT, again).run(run)
    except Exception as error:
        run.end(str(error), failed=True)
        raise
    run.end(report.summary())
    return report


def register_file(path: str, info: FileInfo) -> ModelFile:
    """The row of one inspected file below MODELS_ROOT; created if it is missing."""
    root = settings.MODELS_ROOT
    try:
        return _Scan(root, again=True).register(path, info)
    except IntegrityError:  # a concurrent scan registered it first
        return ModelFile.objects.get(path=path)


def inspect_path(path: str) -> bool:
    """Inspect one registered file again, although it has not changed. Returns whether it exists."""
    try:
        info = inspect_file(settings.MODELS_ROOT, path)
    except FileNotFoundError:
        return False
    register_file(path, info)
    return True


class _Scan:
    def __init__(self, root: Path, again: bool) -> None:
        self.root = root
        self.again = again
        self.report = ScanReport()
        self.rows = {row.path: row for row in ModelFile.objects.defer("metadata")}

    def register(self, path: str, info: FileInfo) -> ModelFile:
        self.missing = {old: row for old, row in self.rows.items() if row.missing_since and old != path}
        row = self._store(self._row(path, info), path, info, self._state(path))
        fill_parts()
        return row

    def run(self, run: ScanRun) -> ScanReport:
        paths = list(model_files(self.root))
        self.missing = {path: row for path, row in self.rows.items() if path not in set(paths)}
        run.begin(len(paths))
        for done, path in enumerate(paths):
            run.at(path, done)
            try:
                self._scan_file(path)
            except FileNotFoundError:
                self.report.skipped[path] = "deleted during the scan"
            except IntegrityError:
                self.report.skipped[path] = "registered by a concurrent scan"
        self._mark_present()
        self._mark_missing()
        fill_parts()
        return self.report

    def _scan_file(self, path: str) -> None:
        if problem := path_problem(path):
            self.report.skipped[ascii(path)] = problem
            return
        before = self._state(path)
        row = self.rows.get(path)
        unchanged = row and before == (row.size_bytes, row.modified_ns) and not self.again
        if row and unchanged and not self._has_new_tag_table(row):
            self._unchanged(row)
            return
        info = inspect_file(self.root, path)
        if self._state(path) != before:
            self.report.skipped[path] = "still being written"
            return
        self._store(self._row(path, info), path, info, before)

    def _has_new_tag_table(self, row: ModelFile) -> bool:
        """Whether the tag table of a tagger was added, removed or changed, so that it has another problem, or none."""
        if row.kind != Kind.TAGGER:
            return False
        file = self.root / row.path
        try:
            return tag_table_problem(file, file)[:MAX_PROBLEM_LENGTH] != row.problem
        except ValueError:
            return True

    def _row(self, path: str, info: FileInfo) -> ModelFile:
        return self.rows.get(path) or self._renamed(path, info) or self._new(path)

    def _state(self, path: str) -> tuple[int, int]:
        """Size in bytes and modification time in nanoseconds."""
        stat = (self.root / path).stat()
        return stat.st_size, stat.st_mtime_ns

    def _unchanged(self, row: ModelFile) -> None:
        if row.sha256 and not row.legacy_hash and row.size_bytes > LEGACY_BEGIN:  # row of an older version
            row.legacy_hash = legacy_hash(self.root / row.path)
            row.save(update_fields=["legacy_hash"])
        if not row.is_described and not row.problem:  # the same
            describe_again(row)
        (self.report.returned if row.missing_since else self.report.unchanged).append(row.path)
        if row.problem:
            self.report.problems[row.path] = row.problem

    def _renamed(self, path: str, info: FileInfo) -> ModelFile | None:
        """The row of a missing file with the same hash: a moved file keeps its name, settings and history."""
        same = [old for old, row in self.missing.items() if row.sha256 and row.sha256 == info.sha256]
        if not same:
            return None
        self.report.renamed.append(path)
        return self.missing.pop(same[0])

    def _new(self, path: str) -> ModelFile:
        self.report.added.append(path)
        return ModelFile(name=PurePosixPath(path).stem[:MAX_NAME_LENGTH])

    def _store(self, row: ModelFile, path: str, info: FileInfo, state: tuple[int, int]) -> ModelFile:
        if row.path == path:
            self.report.changed.append(path)
        if info.problem:
            self.report.problems[path] = info.problem
        _update(row, info)
        row.path, (row.size_bytes, row.modified_ns) = path, state
        row.missing_since, row.scanned_at = None, timezone.now()
        row.name = free_name(row)
        with transaction.atomic():
            row.save()
            if not info.problem:
                architectures.keep(row, info.architecture)
                store_cover(row, info.metadata)
        return row

    def _mark_present(self) -> None:
        present = [self.rows[path].pk for path in [*self.report.unchanged, *self.report.returned]]
        ModelFile.objects.filter(pk__in=present).update(missing_since=None, scanned_at=timezone.now())

    def _mark_missing(self) -> None:
        newly = [row for row in self.missing.values() if row.missing_since is None]
        self.report.missing += [row.path for row in newly]
        ModelFile.objects.filter(pk__in=[row.pk for row in newly]).update(missing_since=timezone.now())


def _update(row: ModelFile, info: FileInfo) -> None:
    row.problem = info.problem[:MAX_PROBLEM_LENGTH]
    if info.problem and row.pk:
        return  # the other fields keep their values until the file is valid again
    row.kind, row.family = info.kind, info.family
    row.sha256, row.tensors_sha256, row.metadata = info.sha256, info.tensors_sha256, info.metadata
    row.legacy_hash = info.legacy_hash
    row.without_vae, row.left_out = info.without_vae, info.left_out
    row.instruct = info.instruct
    row.bundled_embeddings = list(info.bundled_embeddings)
    describe(row, info.metadata)


def free_name(row: ModelFile) -> str:
    """The row's name, or the first of ``name-2``, ``name-3``, … that no other file of its kind has."""
    others = ModelFile.objects.filter(kind=row.kind).exclude(pk=row.pk)
    taken = set(others.filter(name__startswith=row.name[:NAME_STEM_LENGTH]).values_list("name", flat=True))
    name, number = row.name, 1
    while name in taken:
        number += 1
        name = f"{row.name[:NAME_STEM_LENGTH]}-{number}"
    return name
