"""The three published clients, called alike; what they answer is compared as the JSON it was."""

from __future__ import annotations

import asyncio
import base64
import threading
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import reduce
from typing import Any

import cloudflare
from cloudflare import APIStatusError, AsyncCloudflare, Cloudflare

from tests.compat.programs import PATIENCE, Driver, SdkError
from tests.compat.server import Tenant


class Client(ABC):
    """Of an account. `requests` counts what it has sent, retries among them."""

    @abstractmethod
    def call(self, method: str, /, *args: str, **params: Any) -> Any:
        """`method` names attributes from `client.workflows` on. A page is its `result` with its
        `result_info`. Raises SdkError.
        """

    @abstractmethod
    def every(self, method: str, /, *args: str, **params: Any) -> list[Any]:
        """All items of all pages, as the client iterates over them. Raises SdkError."""

    @abstractmethod
    def content(self, method: str, /, *args: str, **params: Any) -> bytes:
        """The answer as it came."""

    @property
    @abstractmethod
    def requests(self) -> int: ...

    @abstractmethod
    def close(self) -> None: ...


class JavaScript(Client):
    def __init__(self, url: str, tenant: Tenant, driver: Driver, name: str) -> None:
        self._url = url
        self._tenant = tenant
        self._driver = driver
        self._name = name

    def call(self, method: str, /, *args: str, **params: Any) -> Any:
        return self._told(method, args, params)

    def every(self, method: str, /, *args: str, **params: Any) -> list[Any]:
        items: list[Any] = self._told(method, args, params, every=True)
        return items

    def content(self, method: str, /, *args: str, **params: Any) -> bytes:
        return base64.b64decode(self._told(method, args, params, raw=True))

    @property
    def requests(self) -> int:
        return int(self._told("requests", (), {}))

    def close(self) -> None:
        """The driver is everybody's."""

    def _told(
        self, method: str, args: tuple[str, ...], params: dict[str, Any], **how: object
    ) -> Any:
        named = {name.removesuffix("_"): value for name, value in params.items()}
        given = [*args, {"account_id": self._tenant.account_id, **named}]
        return self._driver.call(self._url, self._tenant, self._name, method, args=given, **how)


class InPython(Client):
    """What the two clients of the Python package have in common."""

    def __init__(self, tenant: Tenant, sdk: Cloudflare | AsyncCloudflare) -> None:
        self._account_id = tenant.account_id
        self._sdk = sdk
        self._requests = 0

    @property
    def requests(self) -> int:
        return self._requests

    def _started(self, method: str, args: tuple[str, ...], params: dict[str, Any]) -> Any:
        function = reduce(getattr, method.split("."), self._sdk.workflows)
        return function(*args, account_id=self._account_id, **params)

    def _raw(self, method: str, args: tuple[str, ...], params: dict[str, Any]) -> Any:
        resource, _, name = method.rpartition(".")
        return self._started(f"{resource}.with_raw_response.{name}", args, params)


class Python(InPython):
    def __init__(self, url: str, tenant: Tenant) -> None:
        http = cloudflare.DefaultHttpxClient(event_hooks={"request": [self._count]})
        sdk = Cloudflare(
            api_token=tenant.token,
            base_url=url,
            http_client=http,
            _strict_response_validation=True,
        )
        super().__init__(tenant, sdk)

    def call(self, method: str, /, *args: str, **params: Any) -> Any:
        with _errors_told():
            return plain(self._started(method, args, params))

    def every(self, method: str, /, *args: str, **params: Any) -> list[Any]:
        with _errors_told():
            return [plain(each) for each in self._started(method, args, params)]

    def content(self, method: str, /, *args: str, **params: Any) -> bytes:
        with _errors_told():
            content: bytes = self._raw(method, args, params).read()
        return content

    def close(self) -> None:
        self._sdk.close()

    def _count(self, _: object) -> None:
        self._requests += 1


class AsyncPython(InPython):
    """Its event loop turns in a thread of its own."""

    def __init__(self, url: str, tenant: Tenant) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        http = cloudflare.DefaultAsyncHttpxClient(event_hooks={"request": [self._count]})
        sdk = AsyncCloudflare(
            api_token=tenant.token,
            base_url=url,
            http_client=http,
            _strict_response_validation=True,
        )
        super().__init__(tenant, sdk)

    def call(self, method: str, /, *args: str, **params: Any) -> Any:
        async def answered() -> Any:
            return plain(await self._started(method, args, params))

        return self._wait_for(answered())

    def every(self, method: str, /, *args: str, **params: Any) -> list[Any]:
        async def iterated() -> list[Any]:
            return [plain(each) async for each in self._started(method, args, params)]

        items: list[Any] = self._wait_for(iterated())
        return items

    def content(self, method: str, /, *args: str, **params: Any) -> bytes:
        async def read() -> Any:
            return await (await self._raw(method, args, params)).read()

        content: bytes = self._wait_for(read())
        return content

    def close(self) -> None:
        self._wait_for(self._sdk.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _count(self, _: object) -> None:
        self._requests += 1

    def _wait_for(self, answer: Coroutine[Any, Any, Any]) -> Any:
        with _errors_told():
            return asyncio.run_coroutine_threadsafe(answer, self._loop).result(PATIENCE)


@contextmanager
def _errors_told() -> Iterator[None]:
    try:
        yield
    except APIStatusError as error:
        told = {
            "name": type(error).__name__,
            "message": str(error),
            "status": error.status_code,
            "codes": [each.code for each in error.errors],
        }
        raise SdkError(told) from error


def plain(value: Any) -> Any:
    """What was answered, by the names of the wire."""
    if hasattr(value, "next_page_info"):
        info = value.result_info.to_dict() if getattr(value, "result_info", None) else None
        return {"result": [plain(each) for each in value.result], "result_info": info}
    return value.to_dict(mode="json") if hasattr(value, "to_dict") else value
