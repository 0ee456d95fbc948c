"""Runs that nobody has started, to look at the admin with and to measure it: of many workflows, in
all states, spread over a month.

A few are written one by one, the others are copies of these, made by the database.
"""

from workflows_app.management.seeding.planting import Planted, plant

__all__ = ["Planted", "plant"]
