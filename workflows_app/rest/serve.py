"""`/serve/{name}`: the signed endpoint of each workflow registered here."""

from __future__ import annotations

import logging
from functools import partial

from django.db import connections
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from workflows_app.conf import get_settings
from workflows_app.engine import clock
from workflows_app.engine.addresses import serve_url, served_name, webhook_url
from workflows_app.engine.begun import begun_steps
from workflows_app.engine.database import connection
from workflows_app.errors import InvalidInput, StepMisuse
from workflows_app.models import Account, Run
from workflows_app.protocol.ids import name_within
from workflows_app.rest.request_body import read_up_to
from workflows_app.rest.served_messages import is_message, start_run
from workflows_app.sdk.serving import Host, ServeRequest, serve

logger = logging.getLogger("workflows_app")


@csrf_exempt
def serve_view(request: HttpRequest, name: str) -> HttpResponse:
    try:
        delivery, host = _read(request, name), _host(request, name)
        answer = start_run(delivery, host) if is_message(delivery) else serve(delivery, host)
    except InvalidInput as error:
        return JsonResponse({"error": error.message}, status=400)
    except Exception:
        logger.exception("a delivery to workflow %s failed", name)
        return JsonResponse({"error": "internal error"}, status=500)
    return HttpResponse(answer.body, status=answer.status, headers=dict(answer.headers))


def _read(request: HttpRequest, name: str) -> ServeRequest:
    return ServeRequest(
        method=request.method or "",
        workflow=name,
        headers={key.lower(): _decoded(value) for key, value in request.headers.items()},
        body=read_up_to(request, _most_bytes()),
    )


def _decoded(value: str) -> str:
    """Servers hand headers over as Latin-1; what is UTF-8 was meant so."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _most_bytes() -> int:
    """A payload takes four thirds of its size in base64, and the results so far come on top."""
    return 2 * get_settings().MAX_PAYLOAD_BYTES


def _host(request: HttpRequest, name: str) -> Host:
    query = request.META.get("QUERY_STRING", "")
    url = serve_url(name)
    return host_at(f"{url}?{query}" if query else url)


def host_at(url: str) -> Host:
    """This server, as the endpoint that is reached at the URL."""
    workflow = served_name(url) or ""
    return Host(
        url=url,
        keys_of=partial(signing_keys_of, workflow=workflow),
        webhook_url=partial(_webhook_url_of, workflow),
        begun=partial(_begun_steps_of, workflow),
        now=clock.now,
        max_body_bytes=_most_bytes(),
        max_result_bytes=get_settings().MAX_RESULT_BYTES,
        # A transaction round the request lives in this thread alone.
        threads=not connection().in_atomic_block,
        thread_ends=connections.close_all,
    )


def _live(workflow: str, run_id: str) -> QuerySet[Run]:
    """The live runs of this id that the endpoint may be asked to work on, of all accounts."""
    return Run.objects.filter(live_id__in=[run_id, name_within(workflow, run_id)])


def _webhook_url_of(workflow: str, run_id: str, event_id: str) -> str:
    """Raises StepMisuse when several accounts have a live run of this id: the delivery does not
    say whose it is.
    """
    runs = _live(workflow, run_id)[:2]
    if len(runs) != 1:
        raise StepMisuse(f'no one live run has the id "{run_id}", so a webhook cannot name it')
    return webhook_url(runs[0], event_id)


def _begun_steps_of(workflow: str, run_id: str) -> set[str]:
    """Where several accounts have a live run of this id, of all of them."""
    return begun_steps(_live(workflow, run_id).values_list("pk", flat=True))


def signing_keys_of(run_id: str, workflow: str = "") -> list[str]:
    """The keys of each account that has a live run of this id, found by an index look-up an
    account.
    """
    if not run_id.isprintable():
        return []
    live = _live(workflow, run_id).filter(account=OuterRef("pk"))
    owners = Account.objects.filter(Exists(live)).order_by("pk")
    return [key for owner in owners for key in owner.signing_keys]
