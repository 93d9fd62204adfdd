"""Monthly statement of a business source: as a page, and as a file to download."""

from __future__ import annotations

import re
from datetime import date

from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import action

from console.admin_base.base import ConsoleAdmin, visible_object
from console.tenants.roles import VIEW_COSTS
from jobs.billing.statement_export import CONTENT_TYPES, FORMATS, file_name
from jobs.billing.statements import AccountStatement, months, statement

MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
# Columns that the page groups by; the file has one line for each combination of all four.
GROUPS = {
    "model": gettext_lazy("model"),
    "key": gettext_lazy("access key"),
    "dialect": gettext_lazy("dialect"),
    "day": gettext_lazy("day"),
}


class StatementMixin(ConsoleAdmin):
    """Button of a source's page that shows its statement."""

    def has_costs_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        return request.user.has_perm(VIEW_COSTS)

    @action(
        description=gettext_lazy("Statement"),
        permissions=["costs"],
        url_path="statement",
        icon="receipt_long",
    )
    def statement(self, request: HttpRequest, object_id: str) -> HttpResponse:
        source = visible_object(self, request, object_id)
        month = month_of(request.GET.get("month", ""))
        account = statement(source, month)
        file_format = request.GET.get("format", "")
        if file_format:
            return _file(account, file_format)
        groups = [
            (title, [(getattr(line, column), line) for line in account.by(column)])
            for column, title in GROUPS.items()
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": _("Statement of %(source)s") % {"source": source},
            "source": source,
            "account": account,
            "groups": groups,
            "months": sorted({*months(source), timezone.localdate().replace(day=1), month}, reverse=True),
            "formats": list(FORMATS),
        }
        return TemplateResponse(request, "admin/access/statement.html", context)


def month_of(text: str) -> date:
    """First day of the month ``YYYY-MM``; of the current month for empty text. Raises Http404 for anything else."""
    if not text:
        return timezone.localdate().replace(day=1)
    match = MONTH.fullmatch(text)
    if match is None or match[1] == "0000":
        raise Http404
    return date(int(match[1]), int(match[2]), 1)


def _file(account: AccountStatement, file_format: str) -> HttpResponse:
    if file_format not in FORMATS:
        raise Http404
    content = FORMATS[file_format](account)
    headers = {"Content-Disposition": f'attachment; filename="{file_name(account, file_format)}"'}
    return HttpResponse(content, content_type=CONTENT_TYPES[file_format], headers=headers)
