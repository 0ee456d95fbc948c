"""Every kind of step over the protocol, in both shells."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.serving.cloud import HOST, Cloud
from tests.serving.conftest import ServeStory


def returns(value: Any) -> Any:
    return lambda: value


def test_steps_follow_one_another_one_for_each_delivery(serve_story: ServeStory, cloud: Cloud):
    called: list[str] = []

    def noted(name: str, value: Any) -> Any:
        called.append(name)
        return value

    async def story(context: Any) -> Any:
        first = await context.run("first", noted, "first", {"ü": [1, None]})
        second = await context.run("second", noted, "second", None)
        return [first, second, await context.run("second", returns("again"))]

    run = serve_story(story).run()

    assert run.status == "succeeded"
    assert run.result == [{"ü": [1, None]}, None, "again"]
    assert called == ["first", "second"]
    step = {"stepType": "Run", "concurrent": 1}
    assert run.steps == [
        {"stepId": 1, "stepName": "first", **step, "out": '{"ü":[1,null]}'},
        {"stepId": 2, "stepName": "second", **step, "out": "null"},
        {"stepId": 3, "stepName": "second", **step, "out": '"again"'},
    ]
    assert [json.loads(answer.content) for answer in cloud.answers] == 4 * [
        {"workflowRunId": run.run_id, "finishCondition": "success"}
    ]


def test_bytes_pass_as_json_and_come_back_as_bytes(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        drawn = await context.run("draw", returns(b"\x89PNG"))
        return [drawn, await context.run("measure", lambda: len(drawn))]

    run = serve_story(story).run()

    assert run.result == [{"$bytes": "iVBORw=="}, 4]
    assert run.steps[0]["out"] == '{"$bytes":"iVBORw=="}'


def test_a_run_knows_its_surroundings(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        return await context.run(
            "look",
            lambda: [
                context.request_payload,
                context.headers["X-User"],
                context.labels,
                context.url,
                context.workflow_run_id,
                context.attempt,
                context.idempotency_key,
            ],
        )

    run = serve_story(story).run(
        {"ü": 1}, **{"upstash-forward-x-user": "ada", "upstash-forward-upstash-label": "a,b"}
    )

    key = f"{run.run_id}:1893585600000:look"
    assert run.result == [{"ü": 1}, "ada", ["a", "b"], f"{HOST}/story", run.run_id, 1, key]


def test_a_sleep_is_a_result_that_is_delivered_late(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        await context.sleep("for", "1h30m")
        await context.sleep_until("until", datetime(2030, 1, 2, tzinfo=UTC))
        return await context.run("after", returns("awake"))

    run = serve_story(story).run()

    assert run.result == "awake"
    items = [json.loads(body or b"")[0] for _, path, _, body in cloud.sent if path == "/v2/batch"]
    sleep_for, sleep_until, _ = items
    assert sleep_for["headers"]["Upstash-Delay"] == "5400s"
    assert sleep_until["headers"]["Upstash-Not-Before"] == "1893542400"
    assert [step["stepType"] for step in run.steps] == ["SleepFor", "SleepUntil", "Run"]
    assert (run.steps[0]["sleepFor"], run.steps[1]["sleepUntil"]) == (5400, 1893542400)


def test_the_server_makes_calls_and_the_answer_is_a_result(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        answer = await context.call(
            "charge",
            url="https://bank.example/charge",
            method="post",
            body={"ü": 1},
            headers={"Authorization": "Bearer secret"},
            retries=2,
            retry_delay="100",
            timeout="1m",
        )
        return [answer.status, answer.header, answer.body]

    cloud.respond = lambda item: {
        "status": 402,
        "header": {"X-Twice": ["1", "2"]},
        "body": '{"ü":"no"}'.encode(),
    }
    run = serve_story(story).run()

    assert run.result == [402, {"X-Twice": ["1", "2"]}, {"ü": "no"}]
    (call,) = cloud.calls
    assert (call["destination"], call["body"]) == ("https://bank.example/charge", '{"ü":1}')
    said = call["headers"]
    assert said["Upstash-Method"] == "POST"
    assert said["Content-Type"] == "application/json"
    assert said["Upstash-Forward-Authorization"] == "Bearer secret"
    assert (said["Upstash-Retries"], said["Upstash-Retry-Delay"]) == ("2", "100")
    assert said["Upstash-Timeout"] == "60s"
    assert said["Upstash-Callback"] == run.url
    assert f"Upstash-Forward-{'Upstash-Workflow-Sdk-Version'}" not in said


def test_an_answer_that_will_be_tried_again_is_no_result(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        return (await context.call("ask", url="https://bank.example/")).status

    cloud.respond = lambda item: {"status": 500, "retried": 0, "maxRetries": 2}
    run = serve_story(story).run()

    assert run.status == "running"
    assert json.loads(cloud.answers[-1].content)["finishCondition"] == "call-will-retry"


@pytest.mark.parametrize("data", [b'{"a":[1,"\xc3\xbc"]}', b"text", b""])
def test_a_run_waits_for_an_event(serve_story: ServeStory, cloud: Cloud, data: bytes):
    async def story(context: Any) -> Any:
        event = await context.wait_for_event("approval", "approved/7 ü", timeout="2d")
        return [event.timeout, event.event_data]

    run = serve_story(story).run()
    assert run.status == "running"
    wait = next(json.loads(body or b"") for _, path, _, body in cloud.sent if "wait" in path)
    assert wait["timeout"] == "172800s"
    assert wait["step"] == {
        "stepId": 1,
        "stepName": "approval",
        "stepType": "Wait",
        "concurrent": 1,
    }

    cloud._notify(["approved/7 ü"], data)
    cloud.deliver_all()

    expected = {b"text": "text", b"": None}.get(data, {"a": [1, "ü"]})
    assert run.result == [False, expected]


def test_a_wait_may_end_by_its_deadline(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        return (await context.wait_for_event("approval", "never")).timeout

    run = serve_story(story).run()
    cloud.timeout("never")
    cloud.deliver_all()

    assert run.result is True


def test_an_event_is_sent_once_and_tells_whom_it_reached(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        if context.request_payload == "wait":
            return (await context.wait_for_event("wait", "news")).event_data
        told = await context.notify("tell", "news", {"ü": 1})
        kept = await context.notify("keep", "later", "x", workflow_run_id="wfr_1")
        runs = [(one.workflow_run_id, one.workflow_url, one.step) for one in told.notify_response]
        return [runs, kept.notify_response[0].step, await context.run("after", returns(1))]

    site = serve_story(story)
    waiting = site.run("wait")
    run = site.run("tell")

    assert waiting.result == {"ü": 1}
    assert run.result == [[["wfr_1", f"{HOST}/story", ""]], None, 1]
    assert len([path for _, path, _, _ in cloud.sent if path == "/v2/notify/news"]) == 1


def test_a_webhook_is_created_and_its_calls_are_waited_for(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        webhook = await context.create_webhook("create")
        called = await context.wait_for_webhook("called", webhook, timeout="1h")
        late = await context.wait_for_webhook("late", webhook, timeout="1h")
        return [webhook.webhook_url, called.request.payload, called.request.url, late.timeout]

    run = serve_story(story).run()
    webhook = json.loads(run.steps[0]["out"])
    request = {"method": "POST", "header": {}, "host": "x", "url": "/y?z", "body": "eyJhIjoxfQ=="}
    cloud._notify([webhook["eventId"]], json.dumps(request).encode())
    cloud.deliver_all()
    cloud.timeout(webhook["eventId"])
    cloud.deliver_all()

    url = cloud.webhook_url(run.run_id, webhook["eventId"])
    assert run.result == [url, {"a": 1}, "http://x/y?z", True]


def test_a_run_cancels_itself(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        await context.run("before", returns(1))
        await context.cancel()

    run = serve_story(story).run()

    assert (run.status, run.results) == ("canceled", ["before"])


def test_a_step_that_belongs_to_a_database_is_refused(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        return await context.atomic("store", returns(1))

    run = serve_story(story).run()

    assert run.status == "failed"
    assert run.error["error"] == "StepMisuse"
    assert "context.atomic cannot be served" in run.error["message"]


def test_a_list_that_is_left_out_is_asked_for(serve_story: ServeStory, cloud: Cloud):
    async def story(context: Any) -> Any:
        first, second = await context.parallel(
            lambda: context.run("first", returns(1)), lambda: context.run("second", returns(2))
        )
        return [first, second, await context.run("third", returns(3))]

    cloud.is_lazy = True
    run = serve_story(story).run()

    assert run.result == [1, 2, 3]
    assert any(method == "GET" for method, *_ in cloud.sent)


def test_a_run_keeps_to_the_code_that_it_began_with(serve_story: ServeStory, cloud: Cloud):
    news: list[bool] = []

    async def story(context: Any) -> Any:
        await context.run("first", returns(1))
        if news and await context.patched("by-mail"):
            await context.run("mail", returns(2))
        else:
            await context.run("fax", returns(3))
        return await context.parallel(
            lambda: context.run("left", returns("l")), lambda: context.run("right", returns("r"))
        )

    site = serve_story(story)
    old = site.trigger()
    for _ in range(2):
        cloud.deliver(cloud.owed.pop(0))
    news.append(True)
    new = site.trigger()
    cloud.deliver_all()

    assert (old.result, new.result) == (["l", "r"], ["l", "r"])
    assert old.results == ["first", "fax", "left", "right"]
    assert new.results == ["first", "by-mail", "mail", "left", "right"]


async def branches_that_ask_for_a_change(context: Any) -> Any:
    async def branch(name: str) -> Any:
        follows = await context.patched("change")
        return await context.run(name, returns(follows))

    return await context.parallel(lambda: branch("left"), lambda: branch("right"))


def test_branches_agree_about_a_change(serve_story: ServeStory, cloud: Cloud):
    run = serve_story(branches_that_ask_for_a_change).run()

    assert run.result == [True, True]


def test_a_branch_that_asks_later_waits_for_the_mark_as_well(db: None, serve_story: ServeStory):
    """In a transaction, branches of plain workflows follow one another."""
    assert serve_story(branches_that_ask_for_a_change).run().result == [True, True]


def test_a_sensitive_step_is_refused(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        return await context.options(sensitive=True).run("secret", returns("s3cret"))

    run = serve_story(story).run()

    assert run.error["error"] == "StepMisuse"
    assert 'step "secret" is sensitive' in run.error["message"]


def test_beginning_anew_is_refused(serve_story: ServeStory):
    async def story(context: Any) -> Any:
        await context.run("first", returns(1))
        await context.continue_as_new(2)

    run = serve_story(story).run()

    assert run.error["error"] == "StepMisuse"
    assert "context.continue_as_new cannot be served" in run.error["message"]
