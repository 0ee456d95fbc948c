"""`python -m tests.faults.app.web COUNT PAUSE WORKFLOW...`: stands for the processes of a web site.

Triggers COUNT runs of the workflows in turn, each in a transaction of its own, PAUSE seconds apart,
and prints the id of each once it is committed: from then on the run is accepted.
"""

from __future__ import annotations

import sys
import time

import django
from django.db import transaction


def main(count: int, pause: float, names: list[str]) -> None:
    from workflows_app import get_workflow

    for number in range(count):
        with transaction.atomic():
            started = get_workflow(names[number % len(names)]).trigger({"number": number})
        sys.stdout.write(f"{started.workflow_run_id}\n")
        sys.stdout.flush()
        time.sleep(pause)


if __name__ == "__main__":
    django.setup()
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
