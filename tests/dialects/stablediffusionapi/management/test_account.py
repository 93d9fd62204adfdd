"""What a client reads about its account: budget, products, requests under way and generated images."""

from decimal import Decimal

import pytest

from access.models import AccessKey

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]


def test_balance_is_what_quotas_leave(alice, source, work):
    source.total_budget, source.images_per_day = Decimal(100), 10
    source.save()
    before = alice.call("v3/wallet_balance")["data"]
    assert (before["balance"], before["unlimited"]) == (100.0, False)
    _response, job = alice.generate()
    reserved = alice.call("v3/wallet_balance")["data"]["balance"]
    assert reserved == pytest.approx(100 - float(job.cost_estimate))
    work()
    after = alice.call("v3/wallet_balance")["data"]
    job.refresh_from_db()
    assert after["balance"] == pytest.approx(100 - float(job.cost))
    images = next(quota for quota in after["quotas"] if quota["name"] == "images_per_day")
    assert (images["limit"], images["used"], images["left"]) == (10.0, 1.0, 9.0)
    assert images["renews_at"]


def test_balance_without_a_budget_is_unlimited(alice):
    data = alice.call("v3/wallet_balance")["data"]
    assert (data["balance"], data["unlimited"], data["quotas"]) == (None, True, [])


def test_tightest_budget_of_source_and_key_counts(caller, checkpoint, source):
    source.total_budget = Decimal(100)
    source.save()
    limited = caller(*AccessKey.issue(source, total_budget=Decimal(3)))
    data = limited.call("v3/wallet_balance")["data"]
    assert data["balance"] == 3.0
    assert {quota["of"] for quota in data["quotas"]} == {"source", "key"}


def test_products_are_the_apis_of_the_key(caller, checkpoint, source):
    source.max_steps = 40
    source.save()
    key = AccessKey.issue(source, dialects=["native", "stablediffusionapi"], max_steps=60, max_width=512)
    rows = caller(*key).call("v3/subscribed_products")["data"]
    assert {row["product"] for row in rows} == {"native", "stablediffusionapi"}
    assert (rows[0]["limits"]["max_steps"], rows[0]["limits"]["max_width"]) == (40, 512)
    assert (rows[0]["expires_at"], rows[0]["manages_models"]) == (None, False)


def test_request_count_is_of_the_source(alice, charlie, work):
    alice.generate(), alice.generate()
    assert alice.call("v3/processing/request_count")["processing_count"] == 2
    assert charlie.call("v3/processing/request_count")["processing_count"] == 0
    work()
    assert alice.call("v3/processing/request_count")["processing_count"] == 0


def test_generated_images_are_listed_newest_first_in_pages(alice, charlie, work):
    first, second = alice.generate(samples=2)[0], alice.generate()[0]
    work()
    page = alice.call("v3/assets_generated", per_page="2", page=1)
    assert page["pagination"] == {"total": 3, "per_page": 2, "current_page": 1, "last_page": 2}
    assert [row["id"] for row in page["data"]] == [second["id"], first["id"]]
    assert page["data"][0]["prompt"] == "a red circle"
    assert page["data"][0]["url"] in alice.call(f"v3/fetch/{second['id']}")["output"]
    assert [row["id"] for row in alice.call("v3/assets_generated", per_page=2, page=2)["data"]] == [
        first["id"]
    ]
    assert charlie.call("v3/assets_generated")["data"] == []


def test_other_types_of_assets_are_empty_and_nonsense_is_refused(alice, work):
    alice.generate()
    work()
    assert alice.call("v3/assets_generated", type="video")["pagination"]["total"] == 0
    message = alice.call("v3/assets_generated", type="poem", page=0, per_page=1000)["message"]
    assert set(message) == {"type", "page", "per_page"}
