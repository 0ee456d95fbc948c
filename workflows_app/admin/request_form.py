"""What is typed to start a run, and the run that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from workflows_app.admin.asking import CodeArea
from workflows_app.engine import triggering
from workflows_app.engine.addresses import serve_url
from workflows_app.errors import InvalidInput
from workflows_app.models import Account
from workflows_app.protocol.codec import decode_json, encode_json
from workflows_app.protocol.durations import author_duration
from workflows_app.protocol.exchange import canonical_header, check_headers
from workflows_app.protocol.header_values import parse_flow_control, parse_list
from workflows_app.protocol.ids import check_run_id
from workflows_app.protocol.runs import RunRequest

_LARGEST = 2**31 - 1
"""What the narrowest integer column of the supported databases holds."""


class ReadField(forms.CharField):
    """What `read` makes of the text; None where it is empty."""

    def __init__(self, read: Callable[[str], Any], *, rows: int = 0, **options: Any) -> None:
        line = {"class": "vTextField", "spellcheck": "false", "autocomplete": "off"}
        widget = CodeArea(rows) if rows else forms.TextInput(line)
        super().__init__(required=False, widget=widget, **options)
        self._read = read if rows else _of_one_line(read)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return self._read(text)
        except InvalidInput as error:
            raise ValidationError(error.message) from None


def _of_one_line(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """HTTP headers, which have to hold it, have no control characters."""

    def checked(text: str) -> Any:
        if not text.isprintable():
            raise InvalidInput(_("It must be printable, and on one line."))
        return read(text)

    return checked


def read_payload(text: str) -> bytes:
    value = decode_json(text)
    return b"" if value is None else encode_json(value).encode()


def read_headers(text: str) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        said, _colon, value = (part.strip() for part in line.partition(":"))
        name = canonical_header(said)
        if not value or not value.isprintable():
            raise InvalidInput(_("A header looks like “Name: value”."))
        if name in headers:
            raise InvalidInput(_("%(name)s is there twice.") % {"name": name})
        headers[name] = value
    check_headers(headers)
    if "Content-Type" in headers:
        raise InvalidInput(_("Content-Type is set already: the payload is JSON."))
    return headers


class RequestForm(forms.Form):
    """What a run is to be."""

    workflow = forms.ChoiceField(label=gettext_lazy("Workflow"))
    account = forms.ModelChoiceField(
        Account.objects.order_by("pk"),
        label=gettext_lazy("Account"),
        required=False,
        empty_label=None,
    )
    payload = ReadField(
        read_payload,
        rows=10,
        label=gettext_lazy("Payload"),
        help_text=gettext_lazy("JSON, or nothing."),
    )
    run_id = ReadField(
        check_run_id,
        label=gettext_lazy("Run id"),
        help_text=gettext_lazy("Made up where it is empty."),
    )
    labels = ReadField(
        parse_list,
        label=gettext_lazy("Labels"),
        help_text=gettext_lazy("With commas between them."),
    )
    headers = ReadField(
        read_headers,
        rows=3,
        label=gettext_lazy("Headers"),
        help_text=gettext_lazy("Which the workflow is given; each on a line, as “Name: value”."),
    )
    delay = ReadField(
        author_duration,
        label=gettext_lazy("Delay"),
        help_text=gettext_lazy("Until it starts, such as 90s, 10m or 1d."),
    )
    retries = forms.IntegerField(
        label=gettext_lazy("Retries"),
        required=False,
        min_value=0,
        max_value=_LARGEST,
        help_text=gettext_lazy("Of each step; where it is empty, the workflow decides."),
    )
    flow_key = ReadField(
        str,
        label=gettext_lazy("Flow-control key"),
        help_text=gettext_lazy("What has the same key shares its limits."),
    )
    flow_limits = ReadField(
        str,
        label=gettext_lazy("Limits of the key"),
        help_text=gettext_lazy("Such as parallelism=2, rate=5, period=1m."),
    )

    def __init__(
        self,
        data: Any,
        workflows: Sequence[str],
        first: str | None = None,
        *,
        may_limit: bool = True,
    ) -> None:
        """`may_limit` says whether there are fields for flow control, whose keys the runs of other
        workflows may share.
        """
        super().__init__(data, initial={"workflow": first})
        if not may_limit:
            del self.fields["flow_key"], self.fields["flow_limits"]
        choices = [(name, name) for name in workflows]
        cast(forms.ChoiceField, self.fields["workflow"]).choices = choices
        if Account.objects.count() == 1:
            del self.fields["account"]

    def clean(self) -> dict[str, Any]:
        said = self.cleaned_data
        key, limits = said.get("flow_key"), said.get("flow_limits")
        try:
            if key or limits:
                said["flow_control"] = parse_flow_control(key or "", limits or "")
        except InvalidInput as error:
            self.add_error("flow_limits", error.message)
        if not self.errors:
            self._check()
        return said

    def _check(self) -> None:
        try:
            triggering.check(self.asked)
        except InvalidInput as error:
            self.add_error(None, error.message)

    @property
    def asked(self) -> RunRequest:
        """Without what the workflow says about its runs."""
        said = self.cleaned_data
        return RunRequest(
            url=serve_url(said["workflow"]),
            workflow=said["workflow"],
            body=said["payload"] or b"",
            headers=said["headers"] or {},
            run_id=said["run_id"],
            delay=said["delay"],
            labels=said["labels"] or (),
            retries=said["retries"],
            flow_control=said.get("flow_control"),
        )

    @property
    def account_asked(self) -> Account:
        account: Account = self.cleaned_data.get("account") or Account.objects.default()
        return account
