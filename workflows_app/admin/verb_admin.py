"""ModelAdmin for rows that only verbs change: buttons, list actions, confirmation and audit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ERROR_FLAG
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from workflows_app.admin import bulk
from workflows_app.admin.paging import CappedPaginator
from workflows_app.admin.permissions import ScopedAdmin
from workflows_app.admin.verbs import Deed, Verb
from workflows_app.engine.database import joining
from workflows_app.errors import WorkflowsError

Action = Callable[["VerbAdmin", HttpRequest, QuerySet[Any]], HttpResponse | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    label: str
    url: str


def as_action(verb: Verb) -> Action:
    @admin.action(description=verb.label)
    def act(model_admin: VerbAdmin, request: HttpRequest, rows: QuerySet[Any]) -> Any:
        return model_admin.act_on_many(request, verb, rows)

    act.__name__ = verb.name
    return act


class VerbAdmin(ScopedAdmin):
    """Nobody adds, edits or deletes rows here but by verbs. Who has the change permission may use
    those that are not apart, and others those whose own permission they have.
    """

    verbs: tuple[Verb, ...] = ()
    paginator = CappedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    sortable_by = ()

    class Media:
        css = {"all": ["workflows_app/admin.css", "workflows_app/graph.css"]}

    def __init__(self, model: type[Model], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        self.actions = [as_action(verb) for verb in self.verbs]

    # -- permissions

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_verb_permission(self, request: HttpRequest, verb: Verb) -> bool:
        if super().has_change_permission(request) and not verb.is_apart:
            return True
        return bool(verb.permission) and request.user.has_perm(f"workflows_app.{verb.permission}")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        denied = {verb.name for verb in self.verbs if not self.has_verb_permission(request, verb)}
        actions = super().get_actions(request)
        return {name: action for name, action in actions.items() if name not in denied}

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if any("\0" in value for _name, values in request.GET.lists() for value in values):
            # Nothing that is stored has it, and PostgreSQL refuses to look for it.
            return HttpResponseRedirect(f"{request.path}?{ERROR_FLAG}=1")
        title = capfirst(self.opts.verbose_name_plural)
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    # -- one row

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.verb_view)
        own = [
            path(f"<path:object_id>/{verb.name}/", view, {"verb": verb}, self._url_name(verb.name))
            for verb in self.verbs
        ]
        return own + super().get_urls()

    def _url_name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def url_of(self, page: str, *args: Any) -> str:
        """The address of one of this model's pages, or of a verb on a row."""
        return reverse(f"admin:{self._url_name(page)}", args=args, current_app=self.admin_site.name)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        context = {"buttons": self.buttons(request, object_id), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def buttons(self, request: HttpRequest, object_id: str) -> list[Button]:
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return []
        return [
            Button(label=f"{verb.label}…", url=self.url_of(verb.name, quote(row.pk)))
            for verb in self.verbs
            if verb.offered(row) and self.has_verb_permission(request, verb)
        ]

    def verb_view(self, request: HttpRequest, object_id: str, verb: Verb) -> HttpResponse:
        """Asks, then does."""
        if not self.has_verb_permission(request, verb):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined, no-any-return]  # Django's own; the stubs leave it out
        if request.method != "POST":
            return self.confirmation(request, verb, [row])
        try:
            deed = self.perform(request, verb, row)
        except WorkflowsError as refusal:
            self.message_user(request, refusal.message, messages.ERROR)
            return self._back_to(request, row)
        self.message_user(request, deed.sentence, messages.SUCCESS)
        return self._back_to(request, deed.successor or row)

    def _back_to(self, request: HttpRequest, row: Model) -> HttpResponse:
        """To the row's page, or to the list if the row is gone or not for this user to see."""
        row_admin = self.admin_site.get_model_admin(type(row))
        exists = type(row)._default_manager.filter(pk=row.pk).exists()
        if isinstance(row_admin, VerbAdmin) and row_admin.has_view_permission(request) and exists:
            return HttpResponseRedirect(row_admin.url_of("change", quote(row.pk)))
        return HttpResponseRedirect(self.url_of("changelist"))

    def perform(self, request: HttpRequest, verb: Verb, row: Model) -> Deed:
        """The deed and its audit entry, or neither. Raises WorkflowsError."""
        with joining():
            deed = verb.act(row)
            self._log(request, deed.subject, deed.sentence, gone=deed.gone)
            if deed.successor is not None:
                self._log(request, deed.successor, deed.sentence)
        return deed

    def _log(self, request: HttpRequest, row: Model, sentence: str, *, gone: bool = False) -> None:
        flag = DELETION if gone else CHANGE
        user_id = str(request.user.pk)
        LogEntry.objects.log_actions(user_id, [row], flag, sentence, single_object=True)

    # -- many rows

    def act_on_many(
        self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        """Asks, then does, however many they are: in parts, each a POST of the same fields to the
        same address. None once all is done and said.
        """
        if not self.has_verb_permission(request, verb):
            raise PermissionDenied
        if bulk.CONFIRMED not in request.POST:
            return self._ask_about_many(request, verb, rows)
        progress = bulk.progress_of(request, verb) or bulk.preview(verb, rows)
        bulk.go_on(progress, rows, lambda row: self.perform(request, verb, row))
        tally = bulk.tally(verb, progress)
        if progress.finished:
            level = messages.WARNING if progress.refused else messages.SUCCESS
            self.message_user(request, tally, level)
            return None
        counted = _("%(number)d of %(all)s") % {
            "number": progress.seen,
            "all": self._counted(progress.expected),
        }
        context = self._page_of(request, verb) | {
            "title": f"{verb.label}…",
            "progress": progress,
            "tally": tally,
            "counted": counted,
            "carried": bulk.carried(request),
            "back": request.get_full_path(),
        }
        return TemplateResponse(request, "admin/workflows_app/progress.html", context)

    def _ask_about_many(
        self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]
    ) -> HttpResponse | None:
        progress = bulk.preview(verb, rows)
        if not progress.expected:
            nothing = _("There is nothing to do: no row fits any more.")
            self.message_user(request, nothing, messages.WARNING)
            return None
        return self.confirmation(
            request,
            verb,
            list(rows[: bulk.NAMED]),
            expected=progress.expected,
            progress=progress.signed,
            carried=bulk.carried(request),
            back=request.get_full_path(),
        )

    def confirmation(
        self, request: HttpRequest, verb: Verb, named: Sequence[Model], **more: Any
    ) -> HttpResponse:
        """The question whether to do it, to these or more rows."""
        expected = more.get("expected", len(named))
        others = ""
        if expected > bulk.COUNTED:
            others = _("and others")
        elif expected > len(named):
            others = _("and %(number)d more") % {"number": expected - len(named)}
        context = self._page_of(request, verb) | {
            "title": f"{verb.label}?",
            "count": self._counted(expected),
            "named": [self.describe(row) for row in named],
            "others": others,
            "back": self.url_of("change", quote(named[0].pk)),
        }
        return TemplateResponse(request, "admin/workflows_app/confirm.html", context | more)

    def _counted(self, number: int) -> str:
        if number > bulk.COUNTED:
            words = {"number": f"{bulk.COUNTED:,}", "rows": self.opts.verbose_name_plural}
            return _("more than %(number)s %(rows)s") % words
        noun = self.opts.verbose_name if number == 1 else self.opts.verbose_name_plural
        return f"{number} {noun}"

    def _page_of(self, request: HttpRequest, verb: Verb) -> dict[str, Any]:
        page = self.admin_site.each_context(request)
        return page | {"opts": self.opts, "media": self.media, "verb": verb}

    def describe(self, row: Any) -> str:
        """One line that tells the row from others."""
        return str(row)
