"""Queries whose SQL is made once in a process. For a query by key, making the SQL takes Django longer than running it.

    QUEUED = Statement(lambda: Job.objects.filter(source=given("source"), state=State.QUEUED).values_list("pk"))
    QUEUED.all(source=1)

Only for the few queries that every generation waits for; everywhere else the ORM as it is.
"""

from .pipelines import pipelined
from .reading import Ask, Statement, together
from .values import given
from .writing import InsertStatement, UpdateStatement, Write, send

__all__ = [
    "Ask",
    "InsertStatement",
    "Statement",
    "UpdateStatement",
    "Write",
    "given",
    "pipelined",
    "send",
    "together",
]
