"""Change list of jobs: search by words of the prompt, and the table alone for the page that refreshes itself."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from console.admin_base.keyset_pagination import OLDER, Cursor, KeysetChangeList, end_of_window
from jobs.selectors import with_prompt_words

WINDOW = 5000  # jobs that one page searches: there is no index of prompts
REFRESH = "X-Refresh"  # header of a request for the table alone
REFRESH_S, REFRESH_OF_WORDS_S = 5, 30


class JobChangeList(KeysetChangeList):
    """List of jobs. A search term that is neither an id nor an error code is searched in the prompts."""

    words = ""
    query: str

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        self.words = ""
        if self.query.strip() and not found.exists():
            self.words, self.query = self.query, ""
            found = super().get_queryset(request, exclude_parameters)
            self.query = self.words
        return found

    @property
    def refresh_s(self) -> int:
        """Seconds between two refreshes of the table."""
        return REFRESH_OF_WORDS_S if self.words else REFRESH_S

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if self.words:
            self._search_prompts()

    def _rows(self) -> tuple[list[Any], bool, bool]:
        return ([], not self.older_than, True) if self.words else super()._rows()

    def _search_prompts(self) -> None:
        """Search the newest WINDOW jobs of the page; the next page continues where the window ends."""
        jobs = self.queryset
        if self.older_than:
            jobs = jobs.filter(Cursor.read(self.older_than, self.model).older)
        end = end_of_window(jobs, WINDOW)
        window = jobs if end is None else jobs.filter(created_at__gte=end.at).exclude(end.older)
        found = list(with_prompt_words(window, self.words)[: self.list_per_page + 1])
        self.result_list = found[: self.list_per_page]
        self.result_count = self.full_result_count = len(self.result_list)
        if len(found) > self.list_per_page:
            self.paginator.older = self.link_to(OLDER, Cursor.of(self.result_list[-1]))
        elif end is not None:
            self.paginator.older = self.link_to(OLDER, end)
            self.paginator.searched_until = end.at


def table_only(request: HttpRequest, response: Any) -> Any:
    """The response of the list; for a refresh of the page, only its table."""
    if REFRESH in request.headers and isinstance(response, TemplateResponse):
        response.template_name = "admin/jobs/job/table.html"
    return response
