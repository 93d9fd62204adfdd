"""Cost of ComfyUI jobs: declared by the template, or read from request and graph."""

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError

from gpu_runner.protocol import Done, GenerationRequest
from jobs.billing import workflow_cost
from models_registry.models import WorkflowTemplate
from tests.support.comfyui_templates import FLUX_SLOTS, flux

REQUEST = GenerationRequest(width=1000, height=1000, num_inference_steps=20, num_images=2)
FULL = {"engine_seconds": 9.0, "device_seconds": 8.0, "steps_run": 16}
BARE = {"prompt": "6.text", "filename_prefix": "9.filename_prefix"}


def template(slots=FLUX_SLOTS, **fields) -> WorkflowTemplate:
    return WorkflowTemplate(name="flux", graph=flux(), slots=slots, **fields)


@pytest.mark.parametrize(
    ("declared", "slots", "steps", "units"),
    [
        ({}, FLUX_SLOTS, 8, "16"),
        ({}, FLUX_SLOTS | {"num_inference_steps": "17.steps"}, 20, "40"),
        ({"cost_steps": 5}, FLUX_SLOTS, 5, "10"),
        ({"cost_factor": 2.5}, FLUX_SLOTS, 8, "40"),
        ({"cost_megapixels": 4.0}, FLUX_SLOTS, 8, "64"),
        ({}, BARE, 8, "16.777216"),
        ({"cost_per_second": Decimal("0.5"), "cost_max_seconds": 30.0}, FLUX_SLOTS, 8, "30"),
    ],
    ids=["graph", "request", "steps", "factor", "megapixels", "size of the graph", "time"],
)
def test_estimate_counts_what_the_template_declares_or_does(declared, slots, steps, units):
    assert workflow_cost.planned(REQUEST, template(slots, **declared), 1.0) == (steps * 2, Decimal(units))


def test_batch_of_the_graph_is_paid_for_each_image_unless_a_slot_fills_it_in():
    graph = flux(node_27={"batch_size": 3})
    three = WorkflowTemplate(name="three", graph=graph, slots=FLUX_SLOTS)
    assert workflow_cost.planned(REQUEST, three, 1.0) == (16, Decimal(48))
    three.slots = FLUX_SLOTS | {"batch_size": "27.batch_size"}
    assert workflow_cost.planned(REQUEST, three, 1.0) == (16, Decimal(16))


@pytest.mark.parametrize(
    ("declared", "work", "due"),
    [
        ({}, {"images_drawn": 2}, "16"),
        ({}, {"images_drawn": 1.25}, "10"),
        ({}, {"images_drawn": 1, "images_cached": 1}, "16"),
        ({"cached_share": 0.25}, {"images_drawn": 1, "images_cached": 1}, "10"),
        ({"cached_share": 0.0}, {"images_drawn": 0, "images_cached": 2}, "0"),
        ({"cost_per_second": Decimal("0.5"), "cost_max_seconds": 30.0}, {"images_drawn": 2}, "4"),
        ({"cost_per_second": Decimal(5), "cost_max_seconds": 30.0}, {"images_drawn": 2}, "16"),
    ],
    ids=[
        "drawn",
        "interrupted",
        "cached in full",
        "cached at a share",
        "cached free",
        "time",
        "time, at most the estimate",
    ],
)
def test_price_is_that_of_what_was_drawn(declared, work, due):
    assert workflow_cost.settled(Decimal(16), REQUEST, template(**declared), Done(**FULL, **work)) == Decimal(
        due
    )


def test_adapter_that_does_not_count_images_is_billed_by_steps():
    assert workflow_cost.settled(Decimal(16), REQUEST, template(), Done(**FULL)) is None


def test_price_per_second_needs_the_seconds_to_reserve():
    with pytest.raises(ValidationError) as error:
        template(cost_per_second=Decimal(1)).clean()
    assert error.value.error_dict.keys() == {"cost_max_seconds"}
