"""Deliveries to the endpoint of a remote run: the step list, signed, and what its answer means
(Upstash reference 3, 4.1).
"""

from __future__ import annotations

from datetime import datetime

from workflows_app.engine import clock
from workflows_app.engine.accounts import read_account
from workflows_app.engine.database import settling
from workflows_app.engine.history import add_attempts
from workflows_app.engine.leases import Lease, hold
from workflows_app.engine.outcomes import Delivered, RetryAt, classify, readable
from workflows_app.engine.ports import Exchange
from workflows_app.engine.prepared import delete_unsynced
from workflows_app.engine.remote.journal import elements_up_to
from workflows_app.engine.requests import overlaid, run_headers, signed
from workflows_app.engine.settling import fail, retry
from workflows_app.errors import LeaseLost
from workflows_app.models import Attempt, Message, Run, Step
from workflows_app.protocol.backoff import RetryPolicy
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.delivery_options import DeliveryOptions, decode_options
from workflows_app.protocol.exchange import Answer, Outgoing
from workflows_app.protocol.faults import describe_answer
from workflows_app.protocol.ids import start_message_id
from workflows_app.protocol.published import encode_step_list
from workflows_app.protocol.runs import FailedAttempt, StepKind

SDK_VERSION = "Upstash-Workflow-Sdk-Version"
_SDK = "Upstash-Workflow-Sdk"
_NO_WORKFLOW = (
    "detected a non-workflow destination for trigger/invoke. "
    "make sure you are sending the request to the correct endpoint"
)
_OLD_SDK = "trigger rest api is only usable with sdk versions after v1.0.0 major version"
_UNTOUCHED = "id = %s AND coalesce(token, '') = %s AND wakes = %s"


def step_exchange(lease: Lease) -> Exchange:
    """The delivery of an element of the step list, or of the run's start."""
    delivery = _Delivery(lease)
    return Exchange(request=delivery.request(), settle=delivery.settle)


class _Delivery:
    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._run = lease.run
        self._options = decode_options(lease.request)
        self._elements = elements_up_to(self._run, lease.key)
        self._started_at = clock.now()
        self._attempt = 1 + _failed_before(lease)

    @property
    def _is_callback(self) -> bool:
        return bool(self._elements) and self._elements[-1].kind == StepKind.CALL_ANSWERED

    # -- the request

    def request(self) -> Outgoing:
        run, options = self._run, self._options
        own = {
            **run_headers(run),
            "Upstash-Message-Id": self._message_id,
            "Upstash-Retried": str(self._attempt - 1),
            "Upstash-Workflow-Init": "false" if self._lease.key else "true",
            "Content-Type": options.content_type or "application/json",
        }
        return signed(
            read_account(run.account_id),
            url=run.url,
            body=self._body(),
            headers=overlaid(self._forwarded(), own),
            timeout=options.timeout or run.timeout,
        )

    @property
    def _message_id(self) -> str:
        return self._elements[-1].message_id if self._elements else start_message_id(self._run.pk)

    def _body(self) -> bytes:
        if self._is_callback:
            return self._elements[-1].raw
        return encode_step_list(
            start_message_id(self._run.pk), bytes(self._run.payload), self._elements
        )

    def _forwarded(self) -> dict[str, str]:
        """With the header that tells the endpoint's SDK that its body is a step list."""
        stored = self._run.header_map
        if not self._is_callback:
            return overlaid({SDK_VERSION: "1"}, stored, self._options.headers)
        asked = Step.objects.get(run=self._run, key=self._lease.key).input
        headers = overlaid(
            stored,
            decode_json(asked or "{}").get("headers", {}),
            {"Upstash-Workflow-Calltype": "fromCallback"},
        )
        headers.pop(SDK_VERSION, None)
        return headers

    # -- the answer

    def settle(self, answer: Answer) -> None:
        """Raises LeaseLost."""
        policy = _policy(self._run, self._options)
        outcome = classify(answer, policy, self._attempt, clock.now())
        if isinstance(outcome, Delivered):
            self._delivered(answer)
            return
        retry_at = outcome.moment if isinstance(outcome, RetryAt) else None
        message = f"{self._run.url} answered {answer.status}" if answer.came else _text(answer)
        self._failed(_describe(answer, message), retry_at)

    def _delivered(self, answer: Answer) -> None:
        fault = None if self._is_callback else self._fault_of(answer)
        if fault is not None:
            self._failed(_describe(answer, fault), None)
            return
        lease = self._lease
        params = [lease.message_id, lease.token, lease.wakes]
        if delete_unsynced("workflows_app_message", _UNTOUCHED, params):
            return
        # What was started anew during its delivery is delivered anew.
        held = Message.objects.held(lease.message_id, lease.token)
        if not held.update(token=None, due_at=clock.now()):
            raise LeaseLost

    def _fault_of(self, answer: Answer) -> str | None:
        """Why an answer that claims success is not that of a workflow endpoint (Upstash reference
        4.1, 3.6).
        """
        check = self._run.endpoint_check
        if not check:
            return None
        if SDK_VERSION not in answer.headers:
            return _NO_WORKFLOW
        old = check == Run.EndpointCheck.API and _SDK not in answer.headers
        return _OLD_SDK if old and not self._has_gone_on() else None

    def _has_gone_on(self) -> bool:
        """Python's endpoints never name their SDK; but they publish, take the run over, or end
        it: then nothing waits for this answer.
        """
        unchanged = Message.objects.held(self._lease.message_id, self._lease.token)
        if not unchanged.filter(wakes=self._lease.wakes).exists():
            return True
        return Step.objects.filter(run=self._run).count() > len(self._elements)

    def _failed(self, error: str, retry_at: datetime | None) -> None:
        attempt = FailedAttempt(
            key=self._lease.key,
            number=self._attempt,
            error=error,
            started_at=self._started_at,
            ended_at=clock.now(),
            retry_at=retry_at,
        )
        with settling():
            run = Run.objects.lock(self._run.pk)
            hold(self._lease)
            add_attempts(self._run.pk, [attempt])
            if retry_at is not None:
                retry(self._lease, retry_at)
            elif run is not None:
                fail(run, _with(error, key=self._lease.key, retried=self._attempt - 1))


def _failed_before(lease: Lease) -> int:
    if lease.claims == 1:  # nobody can have tried
        return 0
    failed = Attempt.objects.filter(run_id=lease.run_id, outcome=Attempt.Outcome.FAILED)
    return failed.filter(key=lease.key).count()


def _policy(run: Run, options: DeliveryOptions) -> RetryPolicy:
    return RetryPolicy(
        retries=run.retries if options.retries is None else options.retries,
        delay_expression=options.retry_delay or run.retry_delay,
    )


def _describe(answer: Answer, message: str) -> str:
    """Where no answer came, JSON stands for its body: an endpoint's failure function may parse it
    (Upstash reference 4.10 (4)).
    """
    body = readable(answer.body) if answer.came else _error_body(_text(answer))
    return describe_answer(answer.status, answer.headers, body, message)


def _error_body(message: str) -> str:
    return encode_json({"error": "DeliveryFailed", "message": message})


def _text(answer: Answer) -> str:
    return answer.body.decode()


def _with(error: str, **more: object) -> str:
    return encode_json({**decode_json(error), **more})
