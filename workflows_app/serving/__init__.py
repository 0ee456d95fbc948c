"""Workflows served over the published Upstash Workflow protocol (docs/serving.md)."""

from workflows_app.serving.options import Receiver
from workflows_app.serving.publisher import NotPublished, Publisher, QStash
from workflows_app.serving.views import serve, serve_many

__all__ = ["NotPublished", "Publisher", "QStash", "Receiver", "serve", "serve_many"]
