"""The graph of a workflow: its steps, and how they follow each other, read from its source."""

from workflows_app.sdk.graph.source import graph_of, graph_of_source

__all__ = ["graph_of", "graph_of_source"]
