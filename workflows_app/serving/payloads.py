"""What a served function is given as its payload: parsed and validated as its endpoint says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from workflows_app.errors import InvalidInput, StepMisuse, WorkflowsError
from workflows_app.sdk.payloads import decode_payload

Parser = Callable[[str], Any]


class InvalidPayload(WorkflowsError):
    """The payload does not fit the schema of the workflow."""

    code = "invalid_payload"


class _Serializer(Protocol):
    errors: Any
    validated_data: Any

    def is_valid(self) -> bool: ...


def payload_reader(parser: Parser | None, schema: Any) -> Callable[[bytes], Any]:
    """`schema` is a pydantic model or a serializer of Django REST framework, as a class.

    The reader raises InvalidPayload, which names each field that does not fit.
    """
    validate = _validator(schema)

    def read(payload: bytes) -> Any:
        return validate(_parse(parser, payload))

    return read


def _parse(parser: Parser | None, payload: bytes) -> Any:
    if parser is None:
        return decode_payload(payload)
    try:
        return parser(payload.decode())
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidPayload(f"the payload cannot be parsed: {error}") from error


def _validator(schema: Any) -> Callable[[Any], Any]:
    if schema is None:
        return lambda value: value
    if hasattr(schema, "model_validate"):
        return lambda value: _by_pydantic(schema, value)
    if hasattr(schema, "is_valid"):
        return lambda value: _by_serializer(schema, value)
    raise StepMisuse(
        "schema is a pydantic model or a serializer of Django REST framework, given as a class, "
        f"not {schema!r:.80}"
    )


def _by_pydantic(schema: Any, value: Any) -> Any:
    from pydantic import ValidationError

    try:
        return schema.model_validate(value)
    except ValidationError as error:
        faults = [(each["loc"], each["msg"]) for each in error.errors(include_url=False)]
        raise _invalid((".".join(map(str, place)), fault) for place, fault in faults) from None


def _by_serializer(schema: Any, value: Any) -> Any:
    serializer: _Serializer = schema(data=value)
    if not serializer.is_valid():
        raise _invalid(_faults("", serializer.errors))
    return serializer.validated_data


def _faults(place: str, errors: Any) -> Iterable[tuple[str, str]]:
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            yield from _faults(f"{place}.{name}" if place else str(name), inner)
    elif isinstance(errors, list):
        for inner in errors:
            yield from _faults(place, inner)
    else:
        yield place, str(errors)


def _invalid(faults: Iterable[tuple[str, str]]) -> InvalidPayload:
    said = "; ".join(f"{place or 'the whole'}: {fault}" for place, fault in faults)
    return InvalidPayload(f"the payload does not fit: {said}")
