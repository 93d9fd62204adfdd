"""Table cells with a runner's status. Each has an element id, by which live.js replaces it with a newer version."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from console.dashboard.live_figures import RunnerLoad

SECONDS_SHOWN_UP_TO = 120  # older times are shown in minutes and hours


def state(load: RunnerLoad) -> SafeString:
    badge = '<span id="runner-{}-state" class="at-badge at-{}">{}</span>'
    return format_html(badge, load.runner.pk, load.state, load.state_name)


def slots(load: RunnerLoad) -> SafeString:
    bar = (
        '<span id="runner-{}-slots"><span class="at-bar" aria-hidden="true"><span style="width: {}%"></span></span>'
        " {}/{}</span>"
    )
    return format_html(bar, load.runner.pk, load.share, load.jobs, load.runner.slots)


def models(load: RunnerLoad) -> SafeString:
    return _text(load, "models", ", ".join(load.loaded) or "–")


def memory(load: RunnerLoad) -> SafeString:
    used, server = filesizeformat(load.runner.memory_bytes), load.runner.figures.get("server")
    if not server:
        return _text(load, "memory", used)
    words = {
        "used": used,
        "free": filesizeformat(server["memory_free"]),
        "total": filesizeformat(server["memory_total"]),
    }
    return _text(load, "memory", _("%(used)s used, %(free)s free of %(total)s") % words)


def queue(load: RunnerLoad) -> SafeString:
    """Prompts in the queue of a ComfyUI server, also those of other clients."""
    server = load.runner.figures.get("server")
    return _text(load, "queue", str(server["queue"]) if server else "–")


def seen(load: RunnerLoad) -> SafeString:
    return _text(load, "seen", ago(load))


def ago(load: RunnerLoad) -> str:
    if load.seen_s is None or load.runner.seen_at is None:
        return "–"
    if load.seen_s < SECONDS_SHOWN_UP_TO:
        return _("%(seconds)s s ago") % {"seconds": round(load.seen_s)}
    return timesince(load.runner.seen_at)


def _text(load: RunnerLoad, name: str, text: str) -> SafeString:
    return format_html('<span id="runner-{}-{}">{}</span>', load.runner.pk, name, text)


CELLS = (state, slots, models, memory, queue, seen)


def all_cells(loads: list[RunnerLoad]) -> SafeString:
    return mark_safe("".join(cell(load) for load in loads for cell in CELLS))
