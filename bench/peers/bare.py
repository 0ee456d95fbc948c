"""No server at all: signed POSTs to the endpoint by the client that delivers for us.

As many at once as there are runs beside it, from one process. What a machine can do so is more than
any workflow server can, which needs two requests for a step.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from bench.figures import percentile
from bench.jobs import Figures, Job, answer
from bench.processes import answers, free_port, running, wait_until
from workflows_app.protocol.exchange import Outgoing
from workflows_app.protocol.signing import new_signing_key, sign
from workflows_app.worker.http import HttpSender

BODY = b'[{"messageId":"msg_1","body":"e30=","callType":"step"}]'


class Client:
    def __init__(self, url: str) -> None:
        self._url = url
        self._key = new_signing_key()
        self._sender = HttpSender(
            allow_private=True, max_response_bytes=1024, connections_per_host=64
        )

    def post(self) -> float:
        """Seconds that it took."""
        started = time.perf_counter()
        signature = sign(BODY, url=self._url, key=self._key, now=datetime.now(UTC))
        headers = {"Content-Type": "application/json", "Upstash-Signature": signature}
        request = Outgoing(
            method="POST",
            url=self._url,
            headers=headers,
            body=BODY,
            timeout=timedelta(seconds=30),
        )
        self._sender.send(request)
        return time.perf_counter() - started

    def rate(self, at_once: int, count: int) -> float:
        """Posts a second."""
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(lambda _: self.post(), range(at_once * 2)))
            started = time.perf_counter()
            list(pool.map(lambda _: self.post(), range(count)))
            return count / (time.perf_counter() - started)


def http(job: Job) -> Figures:
    count = job.sizes.http_steps * 64
    address = f"127.0.0.1:{free_port()}"
    with running(sys.executable, "-m", "bench.endpoint", address, "", ""):
        wait_until(lambda: answers(address), seconds=10)
        client = Client(f"http://{address}/bare")
        rates = {f"at_{at_once}": client.rate(at_once, count) for at_once in (1, 16, 64)}
        alone = percentile([client.post() for _ in range(count)], 50)
    return {**rates, "step_p50": alone * 1000}


if __name__ == "__main__":
    answer({"http": http})
