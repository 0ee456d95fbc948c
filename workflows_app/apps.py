"""App config: finds the project's workflows and connects the SDK to the engine."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.module_loading import autodiscover_modules, module_has_submodule

from workflows_app import conf


class WorkflowsConfig(AppConfig):
    name = "workflows_app"
    verbose_name = "Workflows"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from workflows_app import checks  # noqa: F401 - registers them
        from workflows_app.engine import accounts
        from workflows_app.worker import runtime

        post_migrate.connect(
            accounts.ensure_default_account,
            sender=self,
            dispatch_uid="workflows_app.default_account",
        )
        runtime.install()
        autodiscover_modules("workflows")
        _import_project_workflows()


def _import_project_workflows() -> None:
    """A project's own package is rarely an installed app; its `workflows` module counts too."""
    name = conf.project_package()
    package = import_module(name) if name else None
    if package is not None and module_has_submodule(package, "workflows"):
        import_module(f"{name}.workflows")
