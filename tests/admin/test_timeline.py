"""The timeline on the page of a run."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client

from tests.admin import flows
from tests.admin.conftest import run_called
from tests.admin.pages import read
from tests.conftest import Clock
from tests.rest.conftest import Endpoint
from tests.rest.remote_runs import RemoteRun
from workflows_app.engine import leases, run_moves
from workflows_app.engine.dead_letters import resume
from workflows_app.engine.drain import drain_here
from workflows_app.models import DeadLetter, Message, Run, Step


def content(client: Client, run: Run, query: str = "") -> str:
    page = client.get(f"/admin/workflows_app/run/{run.pk}/fragment/{query}")
    assert page.status_code == 200
    return page.content.decode()


def bars(page: str) -> list[str]:
    """What the bars say, row by row."""
    return [unescape(title) for title in re.findall("<title>([^<]+)</title></rect>", page)]


def places(page: str) -> list[tuple[float, float]]:
    found = re.findall(r'<rect class="wf-doing-[\w -]+" x="([\d.]+)%" width="([\d.]+)%"', page)
    return [(float(x), float(width)) for x, width in found]


def lanes(page: str) -> list[str]:
    return re.findall(r'<li class="wf-lane[^>]*>.*?</li>', page, re.DOTALL)


def names(page: str) -> list[str]:
    plain = (
        re.sub("<[^>]+>", " ", lane).replace("\N{MULTIPLICATION SIGN}", "x") for lane in lanes(page)
    )
    return [re.sub(r"\s+", " ", name).strip() for name in plain]


def link(page: str, name: str) -> str:
    """Where the first link of this name, or label, leads."""
    found = re.search(rf'href="(\?[^"#]*)#timeline"[^>]*aria-label="{name}"', page)
    assert found is not None, page
    return unescape(found[1])


def add_steps(run: Run, *called: str) -> None:
    """Each lasts for a second, and they follow one another."""
    at = run.created_at
    Step.objects.bulk_create(
        Step(
            run=run,
            key=f"{name}#{number}",
            name=name,
            kind=Step.Kind.RUN,
            started_at=at + timedelta(seconds=number),
            ended_at=at + timedelta(seconds=number + 1),
        )
        for number, name in enumerate(called)
    )


@pytest.fixture
def run(db: None, clock: Clock) -> Run:
    """An ended run of 1,000 seconds without steps."""
    flows.echo.run("tea", workflow_run_id="long")
    run = run_called("long")
    Step.objects.filter(run=run).delete()
    run.ended_at = run.created_at + timedelta(seconds=1000)
    run.save()
    clock.advance("1000s")
    return run


def test_attempts_their_delays_and_the_queue_before_the_next_are_drawn_one_after_another(
    admin_client: Client, db: None, clock: Clock
):
    flows.charge.trigger(workflow_run_id="card-1")
    clock.advance("5s")
    drain_here()
    clock.advance("90s")

    page = content(admin_client, run_called("card-1"))

    assert bars(page) == [
        "load-cart: running for 0 s",
        "load-cart: queued for 5 s",
        "charge-card: attempt failed after 0 s",
        "charge-card: waiting for 1 min",
        "charge-card: queued for 30 s so far",
    ]
    assert page.count('<text class="wf-cross" x="5.3%"') == 1


def test_a_sleep_is_drawn_to_scale_and_what_came_after_it_as_queued_until_it_began(
    admin_client: Client, run: Run
):
    add_steps(run, *["nap"])
    step = Step.objects.get(run=run)
    Step.objects.filter(pk=step.pk).update(
        kind=Step.Kind.SLEEP, ended_at=run.created_at + timedelta(seconds=500)
    )
    Step.objects.create(
        run=run,
        key="work",
        name="work",
        kind=Step.Kind.RUN,
        started_at=run.created_at + timedelta(seconds=700),
        ended_at=run.created_at + timedelta(seconds=1000),
    )

    page = content(admin_client, run)

    assert bars(page) == [
        "nap: waiting for 8 min 20 s",
        "work: running for 5 min",
        "work: queued for 3 min 20 s",
    ]
    assert places(page) == [(0, 50), (70, 30), (50, 20)]


def test_a_sleep_that_goes_on_ends_with_the_drawing(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    clock.advance("1h")

    page = content(admin_client, sleeping_run)

    assert bars(page)[-1] == "night: waiting for 1 h so far"
    assert 'class="wf-doing-waiting wf-goes-on"' in page


def test_parallel_branches_stand_side_by_side(admin_client: Client, db: None):
    flows.branches.run(workflow_run_id="branches-1")

    page = content(admin_client, run_called("branches-1"))

    assert names(page) == ["branch-0 1 0 s", "branch-1 2 0 s", "branch-2 3 0 s"]
    assert all("wf-depth-1" in lane for lane in lanes(page))


def test_a_step_in_flight_is_an_open_bar(admin_client: Client, sleeping_run: Run, clock: Clock):
    clock.advance("8h")
    leases.claim(1)
    Message.objects.filter(run=sleeping_run).update(at_step="dress", at_step_since=clock.now)
    clock.advance("2s")

    assert bars(content(admin_client, sleeping_run))[-1] == "dress: running for 2 s so far"


def test_a_run_that_waits_for_a_worker_is_drawn_as_queued(
    admin_client: Client, db: None, clock: Clock
):
    flows.order.trigger(workflow_run_id="order-1")
    clock.advance("7s")

    assert bars(content(admin_client, run_called("order-1"))) == ["queued: queued for 7 s so far"]


def test_a_run_is_nested_under_the_step_that_invoked_it(
    admin_client: Client, db: None, clock: Clock
):
    flows.invoke.trigger(workflow_run_id="invoke-1")
    drain_here()
    clock.advance("1h")

    page = content(admin_client, run_called("invoke-1"))

    assert names(page) == ["echo 0 s", "↳ admin-echo 0 s", "rest 1 h", "↳ admin-nap 1 h"]
    assert bars(page)[-2:] == ["rest: waiting for 1 h so far", "admin-nap nap-1: running, 1 h"]
    assert f"/admin/workflows_app/run/{run_called('nap-1').pk}/change/" in page


def test_what_was_kept_from_another_run_is_counted_and_not_drawn(
    admin_client: Client, failed_run: Run, clock: Clock
):
    clock.advance("1m")
    new = resume(DeadLetter.objects.get(run=failed_run))

    page = content(admin_client, new)

    assert "1 step was kept from the run before, and is not drawn." in page
    assert not any(name.startswith("load-cart") for name in names(page))


def test_a_paused_run_is_drawn_as_waiting(admin_client: Client, sleeping_run: Run, clock: Clock):
    admin_client.post(f"/admin/workflows_app/run/{sleeping_run.pk}/pause/")
    clock.advance("1h")

    assert "paused: waiting for 1 h so far" in bars(content(admin_client, sleeping_run))


# -- many steps


def test_steps_that_are_alike_share_a_row_until_it_is_opened(admin_client: Client, run: Run):
    add_steps(run, "open", *["noop"] * 200, *(f"row-{number}" for number in range(500)))

    page = content(admin_client, run)
    opened = content(admin_client, run, link_of_group(page, "noop"))

    assert names(page) == [
        "open 1 s",
        "▸ noop x200 3 min 20 s",
        "▸ row-0 … row-499 x500 8 min 20 s",
    ]
    assert names(opened)[1] == "▾ noop x200 3 min 20 s"
    assert len(names(opened)) == 203
    assert names(content(admin_client, run, link_of_group(opened, "noop"))) == names(page)


def link_of_group(page: str, name: str) -> str:
    found = re.search(rf'href="(\?[^"#]*)#timeline" title="{name}"', page)
    assert found is not None
    return unescape(found[1])


def test_the_steps_of_a_loop_share_a_row(admin_client: Client, run: Run):
    add_steps(run, "open", *["fetch", "store"] * 100, "close")

    assert names(content(admin_client, run)) == [
        "open 1 s",
        "▸ fetch, store x200 3 min 20 s",
        "close 1 s",
    ]


def test_a_step_that_failed_has_a_row_of_its_own_among_many(admin_client: Client, run: Run):
    add_steps(run, *["noop"] * 200)
    Step.objects.filter(run=run, key="noop#99").update(error="{}")

    assert names(content(admin_client, run)) == [
        "▸ noop x99 1 min 39 s",
        "noop ✕ 1 s",
        "▸ noop x100 1 min 40 s",
    ]


def test_many_steps_of_which_none_is_like_the_next_share_rows_all_the_same(
    admin_client: Client, run: Run
):
    add_steps(run, *("x" * (1 + number % 97) for number in range(1000)))

    assert len(names(content(admin_client, run))) <= 150


def test_the_name_of_a_step_leads_to_its_details_also_on_another_page(
    admin_client: Client, run: Run
):
    add_steps(run, *("x" * (1 + number) for number in range(201)))
    last = Step.objects.filter(run=run).order_by("pk")[200]

    page = content(admin_client, run, "?zoom=199-201")

    assert f'href="?steps=2&amp;zoom=199-201#step-{last.pk}"' in page


# -- zooming


def test_a_part_of_the_time_shows_what_went_on_then_alone(admin_client: Client, run: Run):
    add_steps(run, *["noop"] * 200)

    page = content(admin_client, run, "?zoom=9.5-11.5")

    assert names(page) == ["noop 1 s", "noop 1 s", "noop 1 s"]
    assert places(page) == [(0, 25), (25, 50), (75, 25)]
    assert "2 s, from 9.5 s after the start, at 12:00:09" in page


def test_zooming_in_and_out_and_moving_lead_to_other_parts(admin_client: Client, run: Run):
    add_steps(run, *["noop"] * 900)

    whole = content(admin_client, run)
    inner = content(admin_client, run, link(whole, "Zoom in"))

    assert link(whole, "Zoom in") == "?zoom=250-750"
    assert 'aria-label="Zoom out"' not in whole
    assert link(inner, "Zoom in") == "?zoom=375-625"
    assert link(inner, "Earlier") == "?zoom=0-500"
    assert link(inner, "Later") == "?zoom=500-1000"
    assert link(inner, "Zoom out") == "?"


@pytest.mark.parametrize("zoom", ["5-1", "3-3", "a-b", "1e9-2e9", "-", "9999999999-1", "1-"])
def test_what_is_no_part_of_the_time_shows_all_of_it(admin_client: Client, run: Run, zoom: str):
    add_steps(run, "noop")

    assert content(admin_client, run, f"?zoom={zoom}") == content(admin_client, run)


def test_a_part_in_which_nothing_happened_says_so(admin_client: Client, run: Run):
    add_steps(run, "noop")

    assert "Nothing happened in this part" in content(admin_client, run, "?zoom=500-600")


def test_the_axis_has_a_tick_every_so_often_and_counts_from_the_left(
    admin_client: Client, run: Run
):
    add_steps(run, *["noop"] * 900)

    def ticks(query: str) -> list[str]:
        axis = content(admin_client, run, query).partition('class="wf-axis"')[2].partition("</g>")
        return re.findall("<text [^>]+>([^<]+)</text>", axis[0])

    assert ticks("") == ["0", "5 min", "10 min", "15 min"]
    assert ticks("?zoom=100-100.01") == ["0", "2 ms", "4 ms", "6 ms", "8 ms", "10 ms"]


# -- runs of other services


def test_a_remote_step_lasts_since_what_came_before_it(
    admin_client: Client, db: None, clock: Clock, endpoint: Endpoint
):
    run = RemoteRun.start(endpoint, retries=1)
    clock.advance("10s")
    run.publish(1, "one", out="1")
    run.publish(2, "nap", "SleepFor", delay="60", sleepFor=60)
    clock.advance("15s")

    assert bars(content(admin_client, run.row)) == [
        "one: running for 10 s",
        "nap: waiting for 15 s so far",
    ]


def test_a_failed_delivery_of_a_remote_run_is_drawn_where_its_step_will_be(
    admin_client: Client, db: None, clock: Clock, endpoint: Endpoint
):
    run = RemoteRun.start(endpoint, retries=1, retry_delay="60000")
    endpoint.answers_with(500, b"")
    drain_here()
    clock.advance("20s")

    page = content(admin_client, run.row)

    assert bars(page) == [
        "next step: attempt failed after 0 s",
        "next step: waiting for 20 s so far",
    ]


def test_a_canceled_run_draws_nothing_beyond_its_end(
    admin_client: Client, sleeping_run: Run, clock: Clock
):
    clock.advance("1h")
    run_moves.cancel(sleeping_run)
    clock.advance("1d")

    page = content(admin_client, run_called("nap-1"))

    assert bars(page)[-1] == "night: waiting for 1 h"
    assert "2 steps in 1 h." in page
    assert read(admin_client.get(f"/admin/workflows_app/run/{sleeping_run.pk}/change/"))
