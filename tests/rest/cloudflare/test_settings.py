"""How long the instances of an account are kept (Cloudflare reference 1.7)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rest.cloudflare.conftest import CloudflareApi, refusal_of, result_of

DAY = 24 * 60 * 60 * 1000


def retention(success: int | None, error: int | None) -> dict[str, Any]:
    return {"default_retention": {"success_retention": success, "error_retention": error}}


def test_until_it_is_set_the_server_says_how_long(cloudflare: CloudflareApi, settings: Any):
    assert result_of(cloudflare.get("settings")) == retention(30 * DAY, 30 * DAY)

    settings.WORKFLOWS = {"RETENTION": None}

    assert result_of(cloudflare.get("settings")) == retention(None, None)


def test_what_is_set_holds_and_what_is_left_out_stays(cloudflare: CloudflareApi):
    given = {"default_retention": {"success_retention": "3 days", "error_retention": 4 * DAY}}
    assert result_of(cloudflare.patch("settings", given)) == retention(3 * DAY, 4 * DAY)

    result_of(cloudflare.patch("settings", {"default_retention": {"success_retention": DAY}}))
    result_of(cloudflare.patch("settings", {}))

    assert result_of(cloudflare.get("settings")) == retention(DAY, 4 * DAY)


def test_null_gives_the_word_back_to_the_server(cloudflare: CloudflareApi):
    result_of(cloudflare.patch("settings", retention(DAY, DAY)))

    changed = cloudflare.patch("settings", {"default_retention": {"success_retention": None}})

    assert result_of(changed) == retention(30 * DAY, DAY)


@pytest.mark.parametrize(
    ("given", "begins"),
    [
        ({"default_retention": 3}, "default_retention must be a JSON object"),
        (retention(31 * DAY, None), "runs that have ended are kept for at most 30d"),
        (retention(-1, None), "default_retention.success_retention is -1"),
        (retention(DAY, 15 * 10**20), "default_retention.error_retention is 15"),
    ],
    ids=["no object", "too long", "negative", "eternal"],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    cloudflare: CloudflareApi, given: Any, begins: str
):
    result_of(cloudflare.patch("settings", retention(DAY, DAY)))

    status, code, sentence = refusal_of(cloudflare.patch("settings", given))

    assert (status, code) == (400, 10002)
    assert sentence.startswith(begins)
    assert result_of(cloudflare.get("settings")) == retention(DAY, DAY)


def test_each_account_has_its_own(cloudflare: CloudflareApi, foreigner: CloudflareApi):
    result_of(foreigner.patch("settings", retention(DAY, DAY)))

    assert result_of(cloudflare.get("settings")) == retention(30 * DAY, 30 * DAY)


def test_settings_are_no_workflow_of_that_name(cloudflare: CloudflareApi):
    assert refusal_of(cloudflare.put("settings", {}))[:2] == (405, 7001)
