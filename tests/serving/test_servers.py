"""Workflows of a Django site, served to this project's server: processes of their own."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.compat.installs import node_project
from tests.compat.programs import Endpoint
from tests.compat.server import Server, own_database, running
from tests.compat.third_party import ThirdParty
from tests.conftest import engine_name
from tests.faults.databases import ROOT
from tests.shells import Shell

pytestmark = pytest.mark.processes

PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A server, and a site that serves workflows to it."""

    server: Server
    site: Endpoint

    def url(self, name: str) -> str:
        return f"{self.site.url}/workflows/{name}"

    def http(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.server.main.token}"}
        url = f"{self.server.url}{path}"
        return requests.request(method, url, headers=headers, timeout=30, **options)

    def trigger(self, name: str, body: Any = None) -> str:
        answer = self.http("POST", f"/v2/trigger/{self.url(name)}", json=body)
        return str(answer.json()["workflowRunId"])

    def log(self, run_id: str) -> dict[str, Any]:
        answer = self.http("GET", "/v2/workflows/logs", params={"workflowRunId": run_id})
        run: dict[str, Any] = answer.json()["runs"][0]
        return run

    def end_of(self, run_id: str) -> dict[str, Any]:
        ended: dict[str, Any] = eventually(
            lambda: self.log(run_id), lambda log: log["workflowState"] != "RUN_STARTED"
        )
        return ended

    def result(self, run_id: str) -> Any:
        log = self.end_of(run_id)
        assert log["workflowState"] == "RUN_SUCCESS", log
        return json.loads(log["workflowRunResponse"])

    def run(self, name: str, body: Any = None) -> Any:
        """The result of a run of this workflow."""
        return self.result(self.trigger(name, body))

    def seen(self) -> list[Any]:
        found: list[Any] = requests.get(f"{self.site.url}/seen", timeout=30).json()
        return found


def eventually(ask: Callable[[], Any], wanted: Callable[[Any], object]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not wanted(answer := ask()):
        assert time.monotonic() < deadline, f"last: {answer!r}"
        time.sleep(0.1)
    return answer


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """On a database of the kind that the suite runs on."""
    directory = tmp_path_factory.mktemp("serving")
    kind = "postgres" if engine_name() == "postgresql" else "sqlite"
    with ExitStack() as stack:
        database = stack.enter_context(own_database(kind, directory))
        server = stack.enter_context(running(database, directory))
        third = ThirdParty()
        stack.callback(third.close)
        environment = {
            "QSTASH_URL": server.url,
            "QSTASH_TOKEN": server.main.token,
            "QSTASH_CURRENT_SIGNING_KEY": server.main.current_key,
            "QSTASH_NEXT_SIGNING_KEY": server.main.next_key,
            "THIRD_PARTY": third.url,
        }
        command = [sys.executable, "-m", "tests.serving.site"]
        site = Endpoint(command, ROOT, environment, directory / "site.log")
        stack.callback(site.close)
        yield Pair(server=server, site=site)


@pytest.fixture(params=list(Shell), ids=str)
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_steps_of_every_kind_run_in_branches(pair: Pair, shell: str):
    run_id = pair.trigger(f"{shell}-everything", {"ü": 1})

    assert pair.result(run_id) == [{"ü": 1}, 3, 205, 8, 112, 1000, 2, "end"]
    log = pair.log(run_id)
    assert {each["state"] for group in log["steps"] for each in group["steps"]} == {"STEP_SUCCESS"}
    groups = [group for group in log["steps"] if group["type"] == "parallel"]
    first = [each["stepName"] for each in groups[0]["steps"]]
    assert first == ["mail", "ask", "tell", "before"]


def test_sleeps_take_as_long_as_they_say(pair: Pair, shell: str):
    assert pair.run(f"{shell}-sleeps") >= 2


def test_webhooks_and_events_come_from_outside(pair: Pair, shell: str):
    event = f"approval {shell}"
    run_id = pair.trigger(f"{shell}-waits", event)
    (webhook,) = eventually(
        lambda: [note for note in pair.seen() if isinstance(note, str) and f"/{run_id}/" in note],
        bool,
    )
    assert webhook.startswith(f"{pair.server.url}/v2/workflows/hooks/")
    assert requests.post(webhook, json={"paid": True}, timeout=30).ok
    eventually(lambda: pair.http("GET", f"/v2/waiters/{event}").json(), bool)

    assert pair.http("POST", f"/v2/notify/{event}", data=b"yes").ok

    assert pair.result(run_id) == [{"paid": True}, True, "yes"]


def test_a_run_gets_what_the_runs_that_it_invokes_end_with(pair: Pair, shell: str):
    assert pair.run(f"{shell}-invokes") == [True, True]


def test_a_step_is_tried_again_until_it_succeeds(pair: Pair, shell: str):
    assert pair.run(f"{shell}-fails", {"kind": "heals"}) == "attempt 3"


def test_the_failure_of_a_step_can_be_handled(pair: Pair, shell: str):
    assert pair.run(f"{shell}-fails", {"kind": "handled"}) == "ValueError"


def test_a_final_error_is_not_tried_again_and_the_failure_function_is_told(pair: Pair, shell: str):
    run_id = pair.trigger(f"{shell}-fails", {"kind": "final"})

    log = pair.end_of(run_id)
    assert log["workflowState"] == "RUN_FAILED"
    (failed,) = log["steps"][-1]["steps"]
    assert [error["status"] for error in failed["errors"]] == [489]
    told = [run_id, {"kind": "final"}, "breaks ü"]
    assert eventually(pair.seen, lambda notes: told in notes).count(told) == 1


def test_a_run_that_failed_in_a_branch_is_resumed_where_it_failed(pair: Pair, shell: str):
    run_id = pair.trigger(f"{shell}-repaired", f"order of {shell}")
    dead_letter = pair.end_of(run_id)["dlqId"]

    resumed = pair.http("POST", f"/v2/workflows/dlq/resume/{dead_letter}").json()

    assert pair.result(resumed["workflowRunId"]) == [0, "repaired", "other"]


def test_the_first_branch_wins_and_items_are_mapped(pair: Pair, shell: str):
    assert pair.run(f"{shell}-races") == ["answered", [0, 1, 4, 9], True]


def test_a_run_that_is_rolled_back_undoes_its_steps(pair: Pair, shell: str):
    run_id = pair.trigger(f"{shell}-undoes")

    assert pair.end_of(run_id)["workflowState"] == "RUN_CANCELED"
    undone = [note for note in pair.seen() if isinstance(note, list) and note[0] == run_id]
    assert undone == [[run_id, "ship", "parcel"], [run_id, "pay", 12]]


def test_changed_code_fails_a_run_with_what_was_recorded(pair: Pair, shell: str):
    log = pair.end_of(pair.trigger(f"{shell}-changes"))

    assert log["workflowState"] == "RUN_FAILED"
    (failed,) = log["steps"][-1]["steps"]
    said = json.loads(failed["errors"][-1]["body"])
    assert said["error"] == "IncompatibleHistory"


def test_a_published_message_starts_a_run(pair: Pair):
    published = pair.http("POST", f"/v2/publish/{pair.site.url}/alone", json={"n": 21})
    assert published.ok

    def runs() -> list[dict[str, Any]]:
        criterion = {"workflowUrl": f"{pair.site.url}/alone"}
        found: list[dict[str, Any]] = pair.http(
            "GET", "/v2/workflows/logs", params=criterion
        ).json()["runs"]
        return found

    (run,) = eventually(runs, bool)
    assert pair.result(run["workflowRunId"]) == 42


def test_a_run_invokes_a_workflow_in_javascript(
    pair: Pair, shell: str, tmp_path_factory: pytest.TempPathFactory
):
    directory = tmp_path_factory.mktemp("javascript")
    main = pair.server.main
    tenant = {"token": main.token, "currentKey": main.current_key, "nextKey": main.next_key}
    environment = {
        "QSTASH_URL": pair.server.url,
        "QSTASH_TOKEN": main.token,
        "QSTASH_CURRENT_SIGNING_KEY": main.current_key,
        "QSTASH_NEXT_SIGNING_KEY": main.next_key,
        "THIRD_PARTY": "",
        "TENANTS": json.dumps({main.name: tenant}),
    }
    project = node_project("js", directory)
    endpoint = Endpoint(["node", "endpoint.mjs"], project, environment, directory / "log")
    try:
        url = f"{endpoint.url}/{main.name}/echo"
        assert pair.run(f"{shell}-goes-elsewhere", url) == [{"ü": 1}, False]
    finally:
        endpoint.close()


def test_what_the_server_did_not_sign_is_refused(pair: Pair):
    refused = requests.post(pair.url("sync-child"), json={"n": 1}, timeout=30)

    assert refused.status_code == 401
    assert refused.json()["error"] == "InvalidSignature"
