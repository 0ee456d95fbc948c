"""Starting many runs at once whose ids are unique within their workflow."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from workflows_app.engine import run_moves
from workflows_app.engine.creating import Created, create
from workflows_app.engine.triggering import trigger
from workflows_app.errors import InvalidUrl
from workflows_app.models import Account, Message, Run, RunLabel
from workflows_app.protocol.runs import FlowControlSpec, RunRequest

pytestmark = pytest.mark.django_db

URL = "https://app.example/serve/orders"


def request(run_id: str, **changes: Any) -> RunRequest:
    given = {"url": URL, "workflow": "orders", "run_id": run_id, "named_within": True}
    return RunRequest(**{**given, **changes})


def create_all(account: Account, *ids: str, **changes: Any) -> Created:
    return create(account, [request(run_id, **changes) for run_id in ids])


def ids_of(created: Created) -> tuple[list[str], list[str], list[str]]:
    return [run.run_id for run in created.runs], created.existing, created.repeated


def test_each_new_id_gets_a_run_and_the_message_that_it_is_to_begin(
    account: Account, clock: Clock
) -> None:
    created = create_all(account, "b", "c", "a", body=b"{}", labels=("north",))

    assert ids_of(created) == (["b", "c", "a"], [], [])
    runs = Run.objects.in_bulk([run.pk for run in created.runs]).values()
    assert [(run.live_id, run.workflow, bytes(run.payload)) for run in runs] == [
        (f"orders/{name}", "orders", b"{}") for name in ("a", "b", "c")
    ]
    owed = Message.objects.order_by("run").values_list("run__run_id", "kind", "due_at")
    assert list(owed) == [(name, "turn", clock.now) for name in ("a", "b", "c")]
    assert RunLabel.objects.filter(name="north").count() == 3


def test_an_id_that_is_asked_for_again_is_used_once(account: Account) -> None:
    created = create_all(account, "a", "b", "a", "a")

    assert ids_of(created) == (["a", "b"], [], ["a", "a"])


def test_an_id_of_a_stored_run_of_the_workflow_is_not_used_again(account: Account) -> None:
    _live, ended = create_all(account, "live", "ended").runs
    run_moves.cancel(ended)

    created = create_all(account, "live", "new", "ended")

    assert ids_of(created) == (["new"], ["live", "ended"], [])
    assert Run.objects.count() == Message.objects.count() + 1 == 3


def test_an_id_is_free_again_when_its_run_is_deleted(account: Account) -> None:
    create_all(account, "a")
    Run.objects.all().delete()

    assert ids_of(create_all(account, "a")) == (["a"], [], [])


@pytest.mark.parametrize("changes", [{"workflow": "refunds"}, {"named_within": False}])
def test_ids_of_other_workflows_and_of_other_ways_to_start_runs_do_not_matter(
    account: Account, changes: dict[str, Any]
) -> None:
    other = {**changes, "workflow": "refunds"}
    trigger(account, [request("a", **other)])

    assert ids_of(create_all(account, "a")) == (["a"], [], [])


def test_ids_of_other_accounts_do_not_matter(account: Account) -> None:
    create_all(Account.objects.create(name="another"), "a")

    assert ids_of(create_all(account, "a")) == (["a"], [], [])


def test_what_cannot_be_run_starts_nothing_else_either(account: Account) -> None:
    with pytest.raises(InvalidUrl):
        create(account, [request("a"), request("b", url="nowhere")])

    assert not Run.objects.exists()


def test_runs_vanish_with_the_transaction_of_the_caller(account: Account) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        create_all(account, "a")
        raise ZeroDivisionError

    assert not Run.objects.exists()


def test_runs_share_the_limits_that_they_are_to_keep(account: Account) -> None:
    control = FlowControlSpec(key="shop", parallelism=1)

    runs = create_all(account, "a", "b", flow_control=control).runs

    assert len({run.flow_control_id for run in runs} - {None}) == 1


def test_many_runs_take_no_more_statements_than_few(account: Account) -> None:
    create_all(account, "first")
    statements = []
    for batch in (range(2), range(2, 20)):
        with CaptureQueriesContext(connection) as queries:
            create_all(account, *map(str, batch))
        statements.append(len(queries))

    assert statements[0] == statements[1]
