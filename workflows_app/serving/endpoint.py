"""The endpoint of one workflow: takes deliveries, publishes what comes of them, answers. Knows no
framework.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus

from workflows_app.errors import (
    IncompatibleHistory,
    InvalidInput,
    InvalidSignature,
    Refused,
    RunEnded,
    StepMisuse,
    WorkflowsError,
)
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.ids import new_run_id
from workflows_app.protocol.runs import Finished, RunInfo
from workflows_app.protocol.signing import verify
from workflows_app.sdk.base_context import Ports
from workflows_app.sdk.replay import Recorder
from workflows_app.sdk.telling import tell
from workflows_app.serving import failing
from workflows_app.serving.answers import answered, called, notified, will_be_retried
from workflows_app.serving.asking import Choice
from workflows_app.serving.deliveries import Delivery, Kind
from workflows_app.serving.messages import Sender, Sent, batch, fetched, published
from workflows_app.serving.payloads import InvalidPayload
from workflows_app.serving.published_steps import encode_result
from workflows_app.serving.publisher import NotPublished
from workflows_app.serving.replies import FINAL, Reply, delivered, denied, failed, refused, reply
from workflows_app.serving.rolling_back import take
from workflows_app.serving.starting import Served
from workflows_app.serving.step_list import StepList, past_of, read_step_list
from workflows_app.serving.turns import Turn
from workflows_app.serving.work import Denied, Failing, Nothing, Notify, Send, Work

logger = logging.getLogger("workflows_app.serving")

_NO_RUN = "no-workflow-id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The process that an endpoint lives in; see `sdk.base_context.Ports`."""

    threads: bool = True
    thread_ends: Callable[[], None] = lambda: None


class Endpoint:
    def __init__(self, served: Served) -> None:
        self._served = served
        self._options = served.options
        self._take: Mapping[Kind, Callable[[Delivery, Host], Reply]] = {
            Kind.START: self._start,
            Kind.STARTED_ELSEWHERE: self._start_again,
            Kind.STEPS: self._go_on,
            Kind.CALL_ANSWERED: self._take_answer,
            Kind.FAILURE: self._fail,
        }

    def handle(self, delivery: Delivery, host: Host) -> Reply:
        """Whatever goes wrong is an answer: the server decides by it what happens next."""
        try:
            self._verify(delivery)
            kind = delivery.kind
            self._tell("workflow %s: %s", self._served.workflow.name, kind.name)
            answer = self._answer(kind, delivery, host)
        except WorkflowsError as error:
            answer = _refusal(error)
        except Exception as error:
            logger.exception("a delivery to workflow %s failed", self._served.workflow.name)
            answer = refused(type(error).__name__, str(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        if answer.status >= HTTPStatus.BAD_REQUEST:
            said = answer.body.decode()
            logger.warning("workflow %s answers %s", self._served.workflow.name, said[:1000])
        return answer

    def _tell(self, message: str, *values: object) -> None:
        if self._options.verbose:
            logger.info(message, *values)

    def _verify(self, delivery: Delivery) -> None:
        """Raises InvalidSignature. The URL is checked where it is given: a proxy may change it."""
        options = self._options
        if self._is_unsigned:
            self._tell("no signing keys are set: anybody may post this")
        else:
            verify(
                delivery.signature,
                delivery.body,
                url=options.url,
                keys=options.keys,
                now=options.now(),
            )

    def _answer(self, kind: Kind, delivery: Delivery, host: Host) -> Reply:
        try:
            return self._take[kind](delivery, host)
        except InvalidPayload as error:
            status = HTTPStatus.BAD_REQUEST if kind is Kind.START else FINAL
            return refused("InvalidPayload", error.message, status)

    # -- starting

    def _start(self, delivery: Delivery, host: Host) -> Reply:
        served = self._served
        run = served.run_of(delivery, new_run_id(), delivery.body)
        self._options.read_payload(run.payload)
        if self._is_denied(delivery, run, host):
            return denied(_NO_RUN)
        return self._begin(run, batch([served.start(delivery, run)]))

    def _start_again(self, delivery: Delivery, host: Host) -> Reply:
        steps = self._steps(delivery)
        run = self._served.run_of(delivery, delivery.run_id, steps.payload)
        if self._is_denied(delivery, run, host):
            return denied(run.run_id)
        return self._begin(run, self._served.start_again(delivery, run))

    def _begin(self, run: RunInfo, request: Sent) -> Reply:
        try:
            self._send(request)
        except RunEnded as error:
            raise NotPublished(f"the run was not started: {error.message}") from error
        return delivered(run.run_id, "success")

    # -- going on

    def _go_on(self, delivery: Delivery, host: Host) -> Reply:
        steps = self._steps(delivery)
        run = self._served.run_of(delivery, delivery.run_id, steps.payload)
        turn = self._turn(delivery, run, steps, host)
        try:
            return self._perform(run.run_id, take(turn))
        except StepMisuse as error:
            return refused("StepMisuse", error.message, FINAL)
        except RunEnded:
            return delivered(run.run_id, "workflow-was-finished")

    def _steps(self, delivery: Delivery) -> StepList:
        """Asked for, where the server has left the list out (Upstash reference 3.7)."""
        body = delivery.body or self._send(fetched(delivery.run_id))
        steps = read_step_list(body, delivery.message_id)
        self._options.read_payload(steps.payload)
        return steps

    def _turn(self, delivery: Delivery, run: RunInfo, steps: StepList, host: Host) -> Turn:
        past = past_of(steps.steps)
        return Turn(
            workflow=self._served.workflow,
            sender=Sender(run=run, depth=delivery.depth),
            past=past,
            retried=delivery.retried,
            ports=partial(self._ports, run, host, past.begun),
            now=self._options.now,
            middlewares=self._served.middlewares,
        )

    def _ports(self, run: RunInfo, host: Host, begun: Collection[str], recorder: Recorder) -> Ports:
        return Ports(
            recorder=recorder,
            webhook_url=lambda event_id: self._options.server.webhook_url(run.run_id, event_id),
            threads=host.threads,
            thread_ends=host.thread_ends,
            read_payload=self._options.read_payload,
            complete=partial(self._served.complete, run.url),
            begun=lambda: begun,
            env=self._options.env,
        )

    def _is_denied(self, delivery: Delivery, run: RunInfo, host: Host) -> bool:
        """Whether the function lets nobody in who comes like this: it returns before its first
        step.
        """
        start = StepList(payload=run.payload, steps=())
        turn = replace(self._turn(delivery, run, start, host), middlewares=())
        went = turn.call(Choice.NOTHING)
        return isinstance(went.outcome, Finished) and went.replay.is_untouched

    def _perform(self, run_id: str, work: Work) -> Reply:
        # What is sent may hold credentials, so it is no matter for a log.
        self._tell("run %s: %s", run_id, type(work).__name__)
        match work:
            case Send(requests=requests):
                for request in requests:
                    self._send(request)
                tell(work.then)
                return delivered(run_id, "success")
            case Notify():
                record = notified(work.step, self._send(work.request), self._options.now())
                body = encode_result(work.step, record, {})
                self._send(batch([published(work.sender, body)]))
                return delivered(run_id, "success")
            case Nothing(condition=condition):
                return delivered(run_id, condition)
            case Denied():
                return denied(run_id)
            case Failing():
                return failed(work)

    def _send(self, request: Sent) -> bytes:
        return self._options.server.send(
            request.method, request.path, request.headers, request.body
        )

    # -- callbacks

    @property
    def _is_unsigned(self) -> bool:
        """Then the function alone can tell who may call: it is asked for callbacks, too."""
        return not self._options.keys

    def _take_answer(self, delivery: Delivery, host: Host) -> Reply:
        """Make the answer to a call the result of its step (Upstash reference 4.5)."""
        said = decode_json(delivery.body)
        if not isinstance(said, Mapping) or not isinstance(said.get("status"), int):
            raise InvalidInput("a callback is an object with the status of an answer")
        if will_be_retried(said):
            return delivered(delivery.run_id, "call-will-retry")
        run = self._served.run_of(delivery, delivery.run_id, delivery.body)
        if self._is_unsigned and self._is_denied(delivery, run, host):
            return denied(run.run_id)
        sender = Sender(run=run, depth=delivery.depth)
        step = called(delivery.headers)
        body = encode_result(step, answered(step, said, self._options.now()), {})
        try:
            self._send(batch([published(sender, body)]))
        except RunEnded:
            return delivered(run.run_id, "workflow-was-finished")
        return delivered(run.run_id, "fromCallback")

    def _fail(self, delivery: Delivery, host: Host) -> Reply:
        function = self._served.failure_function
        failure = failing.failure_of(delivery)
        if function is None:
            body = {"workflowRunId": failure.workflow_run_id}
            condition = "failure-callback-undefined"
            return reply({**body, "finishCondition": condition}, headers=failing.NOT_FOUND)
        run = self._served.run_of(delivery, failure.workflow_run_id, failing.payload_of(delivery))
        if self._is_unsigned and self._is_denied(delivery, run, host):
            return denied(run.run_id)
        is_async = inspect.iscoroutinefunction(function)
        result = failing.call_failure_function(function, failure, is_async=is_async)
        return reply({} if result is None else {"result": encode_json(result)})


def _refusal(error: WorkflowsError) -> Reply:
    name = type(error).__name__
    match error:
        case InvalidSignature():
            return refused(name, error.message, HTTPStatus.UNAUTHORIZED)
        case RunEnded():
            return delivered(_NO_RUN, "workflow-already-ended")
        case Refused() | IncompatibleHistory():
            return refused(name, error.message, FINAL)
        case InvalidInput():
            return refused(name, error.message, HTTPStatus.BAD_REQUEST)
    return refused(name, error.message, HTTPStatus.INTERNAL_SERVER_ERROR)
