"""Reading raw bodies, up to a limit of ours instead of the one that Django has for forms."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest

from workflows_app.errors import InvalidInput


def read_up_to(request: HttpRequest, most: int) -> bytes:
    """The body, or one byte more than `most` of it: that much tells that it is too large.

    Raises InvalidInput for a body in chunks that this server cannot tell the end of.
    """
    return _reader(request)(most + 1)


def _reader(request: HttpRequest) -> Callable[[int], bytes]:
    """Under WSGI, Django takes a body without a Content-Length for an empty one."""
    environ = getattr(request, "environ", None)
    if environ is None or "chunked" not in request.META.get("HTTP_TRANSFER_ENCODING", "").lower():
        return request.read
    if not environ.get("wsgi.input_terminated"):
        raise InvalidInput("this server cannot read a body in chunks; send it with Content-Length")
    reader: Callable[[int], bytes] = environ["wsgi.input"].read
    return reader
