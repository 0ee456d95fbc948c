"""Limits that messages share: set by what is published, or by people, who may pin them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Case, Count, F, Field, OuterRef, QuerySet, Subquery, Value, When

from workflows_app.engine import clock
from workflows_app.engine.database import joining
from workflows_app.engine.ports import get_dispatcher
from workflows_app.errors import NotFound
from workflows_app.models import Account, FlowControl, Message
from workflows_app.models.flow_control import NO_LIMIT, OF_WORKFLOWS
from workflows_app.protocol.runs import FlowControlSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How far the limits of a key are used at a moment."""

    in_flight: int
    waiting: int
    """Due, and not begun. Where it was asked for how far to count, one more stands for more."""
    started: int
    """Of the current period."""
    period_began_at: datetime | None


def flow_control_of(account: Account, spec: FlowControlSpec | None) -> FlowControl | None:
    """The key's row, with the limits of its newest message (Upstash reference 5.5), but for those
    that are pinned.
    """
    if spec is None:
        return None
    asked = {"parallelism": spec.parallelism, "rate": spec.rate, "period": spec.period}
    control, _ = FlowControl.objects.get_or_create(account=account, key=spec.key, defaults=asked)
    if any(getattr(control, name) != limit for name, limit in asked.items()):
        # Only then: an update would hold the key's row until the caller's transaction ends.
        FlowControl.objects.filter(pk=control.pk).update(
            **{name: _unless_pinned(name, limit) for name, limit in asked.items()}
        )
    return control


def _unless_pinned(name: str, limit: object) -> Case:
    """Whether it is pinned is seen under the row's lock, and all limits change together: else
    messages that race could leave a key that limits nothing.
    """
    pinned = "parallelism_pinned" if name == "parallelism" else "rate_pinned"
    field = FlowControl._meta.get_field(name)
    assert isinstance(field, Field), "limits are columns"  # noqa: S101
    return Case(When(**{pinned: True}, then=F(name)), default=Value(limit, output_field=field))


def flow_controls_of(account: Account) -> QuerySet[FlowControl]:
    """Those that messages name; workflows' own limits are not among them."""
    return FlowControl.objects.filter(account=account).exclude(key__startswith=OF_WORKFLOWS)


def find_flow_control(account: Account, key: str) -> FlowControl:
    """Raises NotFound."""
    control = flow_controls_of(account).filter(key=key).first()
    if control is None:
        raise NotFound(f'no message of this account ever had the flow control key "{key[:100]}"')
    return control


def limit_workflow(account_id: int, workflow: str, parallelism: int | None) -> None:
    """How many runs of a workflow are at work at once: those that wait for their turn already, and
    those to which `limit_of` says from now on that they do. None lets all of these start.
    """
    with joining():
        keys = FlowControl.objects.filter(account=account_id, key=f"{OF_WORKFLOWS}{workflow}")
        if parallelism is not None:
            keys.get_or_create(
                account_id=account_id,
                key=f"{OF_WORKFLOWS}{workflow}",
                defaults={"parallelism": parallelism},
            )
        _change(keys, parallelism=NO_LIMIT if parallelism is None else parallelism)


def limit_of(account_id: int, workflow: str) -> int | None:
    """The primary key of what `limit_workflow` has set."""
    keys = FlowControl.objects.filter(account=account_id, key=f"{OF_WORKFLOWS}{workflow}")
    return keys.values_list("pk", flat=True).first()


def usage_of(control: FlowControl) -> Usage:
    return usage_of_all([control])[control.pk]


def usage_of_all(controls: Sequence[FlowControl], most: int | None = None) -> dict[int, Usage]:
    """By the keys' primary keys; in two or three queries, however many they are. With `most`, no
    further is counted what waits for a key, so that it costs little however much that is.
    """
    now = clock.now()
    crowded = set() if most is None else _crowded(controls, most, now)
    others = [each.pk for each in controls if each.pk not in crowded]
    waiting = _count(Message.objects.filter(flow_control__in=others).due(now))
    waiting |= {pk: most + 1 for pk in crowded if most is not None}
    leased = Message.objects.leased(now).filter(flow_control__in=controls)
    # The index of what is in flight begins with the account.
    taken = _count(leased.filter(account__in={each.account_id for each in controls}))
    return {
        each.pk: _usage(each, now, in_flight=taken.get(each.pk, 0), waiting=waiting.get(each.pk, 0))
        for each in controls
    }


def _crowded(controls: Sequence[FlowControl], most: int, now: datetime) -> set[int]:
    """The keys for which more wait."""
    due = Message.objects.due(now).filter(flow_control=OuterRef("pk")).by_due_time()
    beyond = Subquery(due.values("pk")[most : most + 1])
    listed = FlowControl.objects.filter(pk__in=[each.pk for each in controls])
    return set(listed.alias(beyond=beyond).exclude(beyond=None).values_list("pk", flat=True))


def _count(messages: QuerySet[Message]) -> dict[int | None, int]:
    counted = messages.order_by().values("flow_control").annotate(count=Count("pk"))
    return dict(counted.values_list("flow_control", "count"))


def _usage(control: FlowControl, now: datetime, *, in_flight: int, waiting: int) -> Usage:
    ends_at = control.window_ends_at()
    current = control.rate is not None and ends_at is not None and now < ends_at
    return Usage(
        in_flight=in_flight,
        waiting=waiting,
        started=control.window_count if current else 0,
        period_began_at=control.window_started_at if current else None,
    )


def pause(control: FlowControl) -> None:
    """Nothing of this key starts until it is resumed. What is in flight goes on."""
    FlowControl.objects.filter(pk=control.pk).update(paused=True)


def resume(control: FlowControl) -> None:
    _change(FlowControl.objects.filter(pk=control.pk), paused=False)


def pin(
    account: Account,
    key: str,
    *,
    parallelism: int | None = None,
    rate: int | None = None,
    period: timedelta = timedelta(seconds=1),
) -> FlowControl:
    """Set limits that what is published does not change; a rate begins a new period."""
    with joining():
        limits = {"parallelism": parallelism, "rate": rate, "period": period}
        control, _ = FlowControl.objects.get_or_create(account=account, key=key, defaults=limits)
        pinned: dict[str, object] = {}
        if parallelism is not None:
            pinned |= {"parallelism": parallelism, "parallelism_pinned": True}
        if rate is not None:
            pinned |= {"rate": rate, "period": period, "rate_pinned": True, **_fresh()}
        _change(FlowControl.objects.filter(pk=control.pk), **pinned)
    return control


def unpin(control: FlowControl, *, parallelism: bool, rate: bool) -> None:
    """The next message sets these limits again; until then they stay as they are."""
    unpinned: dict[str, object] = {}
    if parallelism:
        unpinned["parallelism_pinned"] = False
    if rate:
        unpinned["rate_pinned"] = False
    if unpinned:
        FlowControl.objects.filter(pk=control.pk).update(**unpinned)


def reset_rate(control: FlowControl) -> None:
    """Begin a new period now."""
    _change(FlowControl.objects.filter(pk=control.pk), **_fresh())


def _fresh() -> dict[str, object]:
    return {"window_started_at": clock.now(), "window_count": 0}


def _change(control: QuerySet[FlowControl], **values: object) -> None:
    """In a way that may let something start."""
    with joining():
        control.update(**values)
        get_dispatcher().ring()


def in_flight(account: Account) -> int:
    """Deliveries of the account that are under way."""
    return Message.objects.leased(clock.now()).filter(account=account).count()
