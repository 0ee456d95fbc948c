"""Image processing: an uploaded image in three widths, each with three filters, stored.

Shows parallel steps of an `async` workflow: calls in `asyncio.gather`, also one within the other.
While another service scales and filters, the run holds neither worker nor thread.

    manage.py workflows trigger process-image --body '{"image_id": "cat", "user_id": "ada"}'
"""

from __future__ import annotations

import asyncio
from typing import TypedDict

from workflows_app import AsyncContext, WorkflowNonRetryableError, workflow

IMAGES = "https://images.example.org"
WIDTHS = (640, 1280, 1920)
FILTERS = ("grayscale", "sepia", "contrast")


class Upload(TypedDict):
    image_id: str
    user_id: str


@workflow("process-image", retries=3)
async def process_image(context: AsyncContext) -> list[str]:
    upload: Upload = context.request_payload
    image_url = await context.run("get-image-url", get_image_url, upload["image_id"])

    async def in_one_width(width: int) -> list[str]:
        resized = await changed_image(
            context, f"resize-image-{width}", "resize", {"imageUrl": image_url, "width": width}
        )
        return await asyncio.gather(*(filtered(resized, each) for each in FILTERS))

    async def filtered(resized: str, name: str) -> str:
        image = await changed_image(
            context, f"apply-filter-{name}", "filter", {"imageUrl": resized, "filter": name}
        )
        return await context.run("store-image", store_image, upload["user_id"], image)

    stored = await asyncio.gather(*(in_one_width(width) for width in WIDTHS))
    return [url for of_one_width in stored for url in of_one_width]


async def changed_image(
    context: AsyncContext, step: str, operation: str, body: dict[str, str | int]
) -> str:
    """The URL of what the service has made of an image."""
    answer = await context.call(
        step, url=f"{IMAGES}/{operation}", method="POST", body=body, retries=3, timeout="10m"
    )
    if answer.status != 200:
        raise WorkflowNonRetryableError(f"{operation} answered {answer.status}: {answer.body}")
    changed: str = answer.body["imageUrl"]
    return changed


async def get_image_url(image_id: str) -> str:
    return f"https://uploads.example.org/{image_id}.png"


def store_image(user_id: str, image_url: str) -> str:
    return f"/media/{user_id}/{image_url.rpartition('/')[2]}"
