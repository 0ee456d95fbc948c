"""The REST dialect of Upstash Workflow: one module per resource."""
