"""An image is scaled and filtered by another service."""

from __future__ import annotations

from collections import Counter

from examples.image_processing import process_image
from workflows_app.testing import WorkflowTest

UPLOAD = {"image_id": "cat", "user_id": "ada"}


def test_nine_images_are_made_and_stored(workflows: WorkflowTest):
    workflows.answer_call(
        "https://images.example.org/resize", body={"imageUrl": "https://images.example.org/r.png"}
    )
    workflows.answer_call(
        "https://images.example.org/filter", body={"imageUrl": "https://images.example.org/f.png"}
    )

    run = workflows.start(process_image, UPLOAD)

    assert run.result == ["/media/ada/f.png"] * 9
    assert Counter(request.url.rpartition("/")[2] for request in workflows.sent) == {
        "resize": 3,
        "filter": 9,
    }
    resized = [request.payload for request in workflows.sent if request.url.endswith("resize")]
    assert {image["imageUrl"] for image in resized} == {"https://uploads.example.org/cat.png"}
    assert sorted(image["width"] for image in resized) == [640, 1280, 1920]
    assert Counter(step.name for step in run.steps)["store-image"] == 9


def test_what_the_service_cannot_read_fails_the_run(workflows: WorkflowTest):
    workflows.answer_call("resize-image-640", body={"imageUrl": "https://images.example.org/r.png"})
    workflows.answer_call("resize-image-1280", status=422, body="no image")
    workflows.answer_call(
        "resize-image-1920", body={"imageUrl": "https://images.example.org/r.png"}
    )
    workflows.answer_call("https://images.example.org/filter", body={"imageUrl": "/f.png"})

    run = workflows.start(process_image, UPLOAD)
    workflows.advance_to_end(run)

    assert run.status == "failed"
    assert run.error is not None
    assert run.error.message == "resize answered 422: no image"
