"""Whatever the description lets one send to what is there, the answer is one that it describes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest
import schemathesis
from hypothesis import settings

from tests.rest.cloudflare.conftest import CloudflareApi
from tests.rest.fuzzing import CHECKS, QUICKLY, load, one_connection

described = load().include(path_regex="^/client/")
There = Iterator[dict[str, str]]


@pytest.fixture
def there(cloudflare: CloudflareApi, mine: dict[str, str], instances: list[str]) -> There:
    """What stands for the parameters of a path; each time another instance."""
    account_id = cloudflare.account.public_id.hex
    return cycle({"account_id": account_id, **mine, "instance_id": each} for each in instances)


@pytest.fixture
def _one_connection(there: There) -> Iterator[None]:
    with one_connection():
        yield


@described.parametrize()
@pytest.mark.usefixtures("_one_connection")
@settings(QUICKLY, max_examples=7)
def test_every_answer_is_as_described(
    cloudflare: CloudflareApi, there: There, case: schemathesis.Case[Any]
) -> None:
    names = next(there)
    case.path_parameters.update({name: names[name] for name in case.path_parameters})

    response = case.call(headers={"Authorization": f"Bearer {cloudflare.token}"})

    case.validate_response(response, checks=CHECKS)
