"""Back-off of a ComfyUI runner from a workflow template that failed on it."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from .runner import Runner


class TemplateBackOff(models.Model):
    """A runner takes no jobs of a template until a time, or until its inventory is another one. Deleted at a success."""

    runner = models.ForeignKey(
        Runner, on_delete=models.CASCADE, related_name="back_offs", verbose_name=_("runner")
    )
    template = models.ForeignKey(
        "models_registry.WorkflowTemplate",
        on_delete=models.CASCADE,
        related_name="back_offs",
        verbose_name=_("workflow template"),
    )
    failures = models.PositiveSmallIntegerField(_("failures"), default=0)  # in succession
    until = models.DateTimeField(_("until"), default=timezone.now)
    # Version of the inventory that lacked something. Empty: the time alone counts.
    inventory = models.CharField(max_length=64, blank=True)
    reason = models.CharField(_("reason"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("back-off from a workflow template")
        verbose_name_plural = _("back-offs from workflow templates")
        constraints = [
            models.UniqueConstraint(fields=["runner", "template"], name="one_back_off_per_template")
        ]

    def __str__(self) -> str:
        return f"{self.runner}: {self.template}"
