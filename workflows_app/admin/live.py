"""Pages that keep up with their run: what tells a page when to fetch itself anew.

What there is to see is read elsewhere, by who may see it.
"""

from __future__ import annotations

from http import HTTPStatus

from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    JsonResponse,
    StreamingHttpResponse,
)
from django.urls import URLPattern, path

from workflows_app.admin.verb_admin import VerbAdmin
from workflows_app.engine.noticing import RunNotices
from workflows_app.engine.streaming import Seen, open_stream
from workflows_app.models import Run
from workflows_app.protocol.server_sent_events import CONTENT_TYPE, frame


class LiveRunAdmin(VerbAdmin):
    class Media:
        js = ["workflows_app/live.js", "workflows_app/live_list.js"]

    def get_urls(self) -> list[URLPattern]:
        live = self.admin_site.admin_view(self.live_view)
        return [path("<int:run_pk>/live/", live, name=self._url_name("live")), *super().get_urls()]

    def live_view(self, request: HttpRequest, run_pk: int) -> HttpResponseBase:
        """Tells the page of the run when to fetch itself anew."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        run = self.get_queryset(request).filter(pk=run_pk).first()
        if run is None:
            raise Http404
        return tell_changes(request, run)


def tell_changes(request: HttpRequest, run: Run) -> HttpResponseBase:
    """A stream that says "changed" whenever the run has, and "ended" once it has; or, where the
    page asks for it, a mark of the run as it is now, for pages that got no stream.
    """
    if "poll" in request.GET:
        return _mark(run)
    is_async = isinstance(request, ASGIRequest)
    notices = RunNotices(run.pk)

    def look() -> Seen:
        content = frame("{}", event="changed") if notices.look() else b""
        content += frame("{}", event="ended") if notices.is_over else b""
        return Seen(content=content, is_last=notices.is_over)

    # A server of one thread would answer nobody else meanwhile.
    can_wait = is_async or request.META.get("wsgi.multithread", True)
    stream = open_stream(look, is_async=is_async) if can_wait else None
    if stream is None:
        # No error, of which Django would send mails: the page then asks every few seconds.
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(stream, content_type=CONTENT_TYPE, headers=headers)


def _mark(run: Run) -> HttpResponse:
    notices = RunNotices(run.pk)
    notices.look()
    return JsonResponse({"mark": notices.mark, "ended": notices.is_over})
