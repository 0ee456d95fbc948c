"""The overview, on the page of the app."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client, RequestFactory
from pytest_django import DjangoAssertNumQueries

from tests.admin import flows
from tests.admin.pages import read, shows
from tests.conftest import Clock
from workflows_app import FlowControlSpec
from workflows_app.admin import overview
from workflows_app.admin.runs import RunAdmin
from workflows_app.engine import leases, schedules
from workflows_app.engine.drain import drain_here
from workflows_app.engine.keeping import keeper
from workflows_app.engine.presence import Presence
from workflows_app.models import Account, Run, WorkflowLimit

PAGE = "/admin/workflows_app/"
MOST_QUERIES = 40


def figures(page: str) -> str:
    """The numbers on top."""
    return page.partition("Runs by their start")[0]


def test_without_a_run_it_shows_how_to_start_one(admin_client: Client):
    page = read(admin_client.get(PAGE))

    assert "There are no runs yet. Start one from Python:" in page
    assert "No run has started in the last 24 hours." in page
    assert "None is alive. Start some with manage.py qcluster" in page
    assert "No schedule is set." in page


def test_it_tells_how_runs_have_fared(admin_client: Client, failed_run: Run, clock: Clock):
    flows.order.trigger_many([None] * 3)
    drain_here()
    flows.nap.trigger()

    page = read(admin_client.get(PAGE))

    assert "Started in 24 hours\n5 0.21 an hour" in page
    assert "Failed of these\n1 25 % of what succeeded or failed" in page
    assert "Live\n1" in page
    assert "Dead letters\n1" in page
    assert "By their state now." in page
    assert "admin-charge 1 1 100 % - - 0 runs" in page
    assert "admin-order 3 0 0 % 0 0 3 runs" in page.replace(" s ", " ")


def test_each_bar_says_what_it_shows(admin_client: Client, failed_run: Run):
    flows.nap.trigger()

    response = admin_client.get(PAGE)

    assert shows(response, "Tue 12:01: no run started")
    assert shows(response, "Wed 11:01: 1 live, 1 failed")
    assert "Wed 11:01 0 1 0 1" in read(response)


def test_seven_days_are_a_click_away(admin_client: Client, failed_run: Run, clock: Clock):
    clock.advance("3d")

    assert "No run has started in the last 24 hours." in read(admin_client.get(PAGE))
    assert "Started in 7 days\n1" in read(admin_client.get(PAGE, {"period": "7d"}))


def test_each_number_leads_to_the_rows_behind_it(admin_client: Client, failed_run: Run):
    response = admin_client.get(PAGE)

    for address in (
        "run/?started=24h&status=failed",
        "run/?status=live",
        "run/?status=running",
        "run/?status=paused",
        "run/?status=stuck",
        "run/?started=24h&workflow=admin-charge",
        "message/?state=due",
        "deadletter/",
        "event/",
    ):
        assert shows(response, PAGE + address)
        assert admin_client.get(PAGE + address).status_code == 200


def test_runs_that_nobody_takes_are_named(admin_client: Client, clock: Clock):
    flows.order.trigger(workflow_run_id="forgotten")
    flows.order.trigger(flow_control=FlowControlSpec(key="slow", parallelism=1))
    clock.advance("5m")

    response = admin_client.get(PAGE)

    page = read(response)
    assert "Due work\n2 oldest for 5 min; 1 under flow control" in page
    assert "admin-order forgotten due, and nobody takes it" in page
    assert "forgotten" in read(admin_client.get(f"{PAGE}run/", {"status": "stuck"}))


def test_workers_say_what_they_deliver(admin_client: Client):
    flows.order.trigger(workflow_run_id="order-1")
    (lease,) = leases.claim(1)
    busy, idle = Presence(threads=16), Presence(threads=1)
    idle.tell()
    with keeper().keeping(lease):
        busy.tell()

    page = read(admin_client.get(PAGE))

    assert "Workers alive\n2" in page
    assert f"{busy.name} 16 threads\nadmin-order order-1" in page
    assert f"{idle.name} one thread\nidle" in page


def test_the_next_slots_of_schedules_come_in_their_order(admin_client: Client):
    account = Account.objects.default()
    url = "https://shop.example/report"
    *_, paused = [
        schedules.create(account, url, [("upstash-cron", cron)], b"", caller_ip="")
        for cron in ("0 18 * * *", "30 12 * * *", "0 13 * * *")
    ]
    schedules.pause(paused)

    page = read(admin_client.get(PAGE)).partition("Next slots of schedules")[2]

    first, second = page.index("30 12 * * *"), page.index("0 18 * * *")
    assert first < second
    assert "12:30:00 in 30 min https://shop.example/report" in page
    assert "0 13 * * *" not in page


def test_a_limited_user_sees_the_numbers_of_their_workflows(
    client_with: Callable[..., Client], failed_run: Run
):
    flows.order.trigger_many([None] * 3)
    drain_here()
    url = "https://shop.example/report"
    cron = [("upstash-cron", "0 18 * * *")]
    schedules.create(Account.objects.default(), url, cron, b"", caller_ip="")
    client = client_with("view_run", "view_deadletter", "view_schedule")
    group = Group.objects.create(name="shop")
    WorkflowLimit.objects.create(group=group, workflow="admin-order")
    User.objects.get(username="staff").groups.add(group)

    page = read(client.get(PAGE))

    assert "Started in 24 hours\n3" in page
    assert "Dead letters\n0" in page
    assert "admin-charge" not in page
    assert "No schedule is set." in page


def test_who_may_not_see_runs_sees_the_list_of_models_alone(
    client_with: Callable[..., Client], failed_run: Run
):
    page = read(client_with("view_deadletter").get(PAGE))

    assert "Dead letters" in page
    assert "Started in" not in page
    assert "Workers" not in page


def test_numbers_of_rows_that_one_may_not_see_are_left_out(client_with: Callable[..., Client]):
    page = figures(read(client_with("view_run").get(PAGE)))

    assert "Live" in page
    assert "Dead letters" not in page
    assert "Due work" not in page


def test_it_works_in_another_admin_site(admin_user: User, failed_run: Run):
    site = admin.AdminSite(name="other")
    site.register(Run, RunAdmin)
    request = RequestFactory().get(PAGE)
    request.user = admin_user

    found = overview.build(site, request)

    assert found is not None
    labels = [figure.label for figure in found.figures]
    assert "Live" in labels
    assert "Dead letters" not in labels


def test_its_cost_does_not_depend_on_how_much_there_is(
    admin_client: Client,
    failed_run: Run,
    clock: Clock,
    django_assert_max_num_queries: DjangoAssertNumQueries,
):
    for _ in range(3):
        flows.order.trigger_many([None] * 5)
        flows.charge.trigger_many([None] * 5)
        drain_here()
        flows.nap.trigger_many([None] * 5)
        clock.advance("5m")
        Presence(threads=16).tell()

    with django_assert_max_num_queries(MOST_QUERIES):
        admin_client.get(PAGE)
