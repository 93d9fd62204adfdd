"""The queue that generation workers take from is the Job table itself."""

from django_q.brokers.orm import ORM


class FairBroker(ORM):
    """django-q2's ORM broker; the generation list will be handed out by policy."""
