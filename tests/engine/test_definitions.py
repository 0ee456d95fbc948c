"""Workflows as rows: one for each account that uses them, and their versions."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connections, transaction
from django.test.utils import CaptureQueriesContext

from tests.conftest import Clock
from tests.shells import registry
from workflows_app import Workflow, workflow
from workflows_app.engine import definitions, recent, triggering, versions
from workflows_app.engine.database import connection
from workflows_app.engine.definitions import VersionOptions
from workflows_app.errors import UnknownWorkflow
from workflows_app.models import Account, Definition, Run, Version
from workflows_app.protocol.runs import RunRequest

pytestmark = pytest.mark.django_db(transaction=True)

__all__ = ["registry"]


@pytest.fixture(autouse=True)
def nothing_is_known(registry: dict[str, Workflow]) -> Iterator[None]:
    registry.clear()
    recent.forget()
    yield
    recent.forget()


def old_source() -> Workflow:
    @workflow("story")
    def story(context: Any) -> str:
        return "old"

    return story


def new_source() -> Workflow:
    @workflow("story")
    def story(context: Any) -> str:
        return "new"

    return story


def deploy(source: Any) -> Workflow:
    """As a process that begins with this source: it has seen no version yet."""
    versions._seen.clear()
    recent.forget()
    made: Workflow = source()
    return made


def version_of(run_id: str) -> Version:
    version = Run.objects.get(run_id=run_id).version
    assert version is not None
    return version


def test_a_run_has_the_version_of_the_source_that_accepted_it(account: Account) -> None:
    before = version_of(deploy(old_source).trigger().workflow_run_id)
    again = version_of(deploy(old_source).trigger().workflow_run_id)
    after = version_of(deploy(new_source).trigger().workflow_run_id)

    assert again == before
    assert after != before
    assert before.definition == after.definition
    assert (before.class_name, before.script_name) == ("old_source.<locals>.story", __name__)
    assert before.digest != after.digest
    assert [each.pk for each in after.definition.versions.order_by("pk")] == [before.pk, after.pk]


def test_a_version_has_the_graph_of_its_source(account: Account) -> None:
    @workflow("story")
    def story(context: Any) -> None:
        context.sleep("nap", "1h")

    version = version_of(story.trigger().workflow_run_id)

    nap = {"type": "step_sleep", "name": "nap", "duration": "1h"}
    assert version.graph is not None
    assert json.loads(version.graph) == {
        "version": 1,
        "workflow": {"class_name": version.class_name, "functions": {}, "nodes": [nap]},
    }


def old_helper() -> Workflow:
    def ship(context: Any) -> None:
        context.run("pack", str)

    @workflow("story")
    def story(context: Any) -> None:
        ship(context)

    story.function.__qualname__ = "story"
    return story


def new_helper() -> Workflow:
    def ship(context: Any) -> None:
        context.run("wrap", str)

    @workflow("story")
    def story(context: Any) -> None:
        ship(context)

    story.function.__qualname__ = "story"
    return story


def test_other_steps_in_a_function_that_it_calls_are_another_version(account: Account) -> None:
    before, again, after = (
        version_of(deploy(source).trigger().workflow_run_id)
        for source in (old_helper, old_helper, new_helper)
    )

    assert again == before
    assert after != before
    assert "wrap" in str(after.graph)


def test_each_account_has_its_own_rows(account: Account, other_account: Account) -> None:
    story = deploy(old_source)
    story.trigger()
    triggering.trigger(other_account, [story.request()])

    ours, theirs = Definition.objects.order_by("pk")
    assert (ours.account, theirs.account) == (account, other_account)
    assert ours.public_id != theirs.public_id


def test_a_run_of_a_function_elsewhere_has_no_version(account: Account) -> None:
    (started,) = triggering.trigger(account, [RunRequest(url="https://a.example.org/")])

    assert started.run.version_id is None
    assert not Definition.objects.exists()


def test_another_source_takes_over_what_was_set(account: Account) -> None:
    deploy(old_source)
    set_before = VersionOptions(step_limit=7, success_retention=timedelta(days=1))
    definitions.update(account, "story", set_before)

    version = version_of(deploy(new_source).trigger().workflow_run_id)

    assert (version.step_limit, version.success_retention) == (7, timedelta(days=1))


def test_an_update_makes_a_version_whether_or_not_anything_changes(
    account: Account, clock: Clock
) -> None:
    deploy(old_source)
    first = definitions.update(account, "story", VersionOptions(step_limit=7))
    clock.advance("1h")
    second = definitions.update(account, "story", VersionOptions())

    assert second.digest == first.digest
    assert second.step_limit is None
    definition = definitions.find_definition(account, "story")
    assert definitions.version_in_force(definition) == second
    assert definition.modified_at - definition.created_at == timedelta(hours=1)


def test_runs_have_the_updated_version_at_once(account: Account) -> None:
    story = deploy(old_source)
    story.trigger()
    version = definitions.update(account, "story", VersionOptions())

    assert version_of(story.trigger().workflow_run_id) == version


def test_processes_of_two_sources_side_by_side_make_a_version_each_once(account: Account) -> None:
    deploy(old_source).trigger()
    deploy(new_source).trigger()
    assert Version.objects.count() == 2

    # The process of the old source asks again, which has seen its version before.
    recent.forget()
    versions._seen.update(
        (each.definition.public_id, versions.code_of(each))
        for each in Version.objects.select_related("definition")
    )
    old = old_source()

    assert version_of(old.trigger().workflow_run_id) == Version.objects.latest("pk")
    assert Version.objects.count() == 2


def test_a_trigger_asks_for_its_version_once_a_second(account: Account, clock: Clock) -> None:
    story = deploy(old_source)
    story.trigger()
    story.trigger()

    def statements() -> int:
        with CaptureQueriesContext(connection()) as queries, transaction.atomic():
            story.trigger()
        return sum('FROM "workflows_app_version"' in each["sql"] for each in queries)

    assert statements() == 0
    clock.advance("1s")
    assert statements() == 1
    assert statements() == 0


def test_what_a_transaction_made_and_took_back_is_not_remembered(account: Account) -> None:
    story = deploy(old_source)
    with transaction.atomic():
        story.trigger()
        story.trigger()
        assert Version.objects.count() == 1
        transaction.set_rollback(True)

    assert not Definition.objects.exists()
    assert version_of(story.trigger().workflow_run_id) == Version.objects.get()


@pytest.mark.postgres
def test_who_is_second_to_use_a_workflow_waits_for_no_transaction(account: Account) -> None:
    story = deploy(old_source)
    run_ids: list[str] = []

    def trigger_meanwhile() -> None:
        run_ids.append(story.trigger().workflow_run_id)
        connections.close_all()

    with transaction.atomic():
        story.trigger()
        thread = threading.Thread(target=trigger_meanwhile)
        thread.start()
        thread.join(10)
        assert run_ids, "it waits"

    assert Run.objects.get(run_id=run_ids[0]).version_id is None
    recent.forget()
    assert version_of(story.trigger().workflow_run_id) == Version.objects.get()


@pytest.mark.postgres
def test_who_looks_for_a_workflow_waits_for_whoever_uses_it_first(account: Account) -> None:
    story = deploy(old_source)
    found: list[Definition] = []

    def look() -> None:
        found.append(definitions.find_definition(account, "story"))
        connections.close_all()

    thread = threading.Thread(target=look)
    with transaction.atomic():
        story.trigger()
        thread.start()
        thread.join(0.2)
        assert not found
    thread.join(10)

    assert found == [Definition.objects.get()]


def test_all_that_is_registered_is_listed_before_it_is_used(account: Account) -> None:
    deploy(old_source)

    @workflow("another")
    def another(context: Any) -> None: ...

    listed = definitions.definitions_of(account)

    assert sorted(listed.values_list("name", flat=True)) == ["another", "story"]
    assert len(versions.in_force_of(listed)) == 2
    with CaptureQueriesContext(connection()) as queries:
        definitions.definitions_of(account)
    assert len(queries) == 2


def test_a_changed_source_is_listed_with_its_version(account: Account) -> None:
    deploy(old_source)
    (before,) = versions.in_force_of(definitions.definitions_of(account)).values()
    deploy(new_source)
    (after,) = versions.in_force_of(definitions.definitions_of(account)).values()

    assert after.digest != before.digest


def test_a_deleted_workflow_is_hidden_until_it_is_updated(account: Account) -> None:
    story = deploy(old_source)
    definition = definitions.find_definition(account, "story")
    definitions.delete(definition)

    assert not definitions.definitions_of(account).exists()
    with pytest.raises(UnknownWorkflow, match='no workflow "story" is listed'):
        definitions.find_definition(account, "story")
    run_id = story.trigger().workflow_run_id
    assert version_of(run_id).definition == definition

    definitions.update(account, "story", VersionOptions())
    assert definitions.find_definition(account, "story") == definition


def test_what_is_not_registered_is_not_known(account: Account, other_account: Account) -> None:
    with pytest.raises(UnknownWorkflow):
        definitions.find_definition(account, "story")
    with pytest.raises(UnknownWorkflow, match="registered: story"):
        deploy(old_source)
        definitions.update(account, "storey", VersionOptions())


def test_a_workflow_whose_code_is_gone_is_still_listed(account: Account, registry: Any) -> None:
    deploy(old_source)
    definition = definitions.find_definition(account, "story")
    registry.clear()

    assert definitions.find_definition(account, "story") == definition
    assert definitions.definitions_of(account).get() == definition


def at_once(*works: Callable[[], object]) -> None:
    """In threads of their own, which begin together."""
    ready = threading.Barrier(len(works))

    def begin(work: Callable[[], object]) -> None:
        ready.wait()
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(works)) as threads:
        for ended in [threads.submit(begin, work) for work in works]:
            ended.result()


@pytest.mark.postgres
def test_who_uses_a_workflow_first_at_once_makes_one_version(account: Account) -> None:
    story = deploy(old_source)

    at_once(*[story.trigger] * 4)

    assert (Definition.objects.count(), Version.objects.count()) == (1, 1)
    assert Run.objects.count() == 4


@pytest.mark.postgres
def test_what_is_set_while_another_source_begins_is_not_lost(account: Account) -> None:
    deploy(old_source).trigger()
    story = deploy(new_source)
    update = partial(definitions.update, account, "story", VersionOptions(step_limit=7))

    at_once(story.trigger, update, story.trigger)

    newest = version_of(story.trigger().workflow_run_id)
    assert newest == Version.objects.latest("pk")
    assert newest.step_limit == 7
