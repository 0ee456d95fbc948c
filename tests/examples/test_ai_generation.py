"""A data set becomes a report."""

from __future__ import annotations

from examples.ai_generation import CHUNK_SIZE, ai_generation
from workflows_app.testing import WorkflowTest

REQUEST = {"dataset_id": "sales", "user_id": "ada"}
SUMMARY = {"choices": [{"message": {"content": "Up."}}]}


def test_what_is_said_of_each_chunk_is_mailed(workflows: WorkflowTest):
    workflows.answer_call("download-dataset", body=list(range(10 * CHUNK_SIZE + 1)))
    workflows.answer_call("process-chunk", body=SUMMARY)
    workflows.answer_call("send-report", body={"id": "mail_1"})

    run = workflows.start(ai_generation, REQUEST)

    assert run.result == "mail_1"
    chunks = [request for request in workflows.sent if request.step == "process-chunk"]
    assert len(chunks) == 11
    assert run.step("generate-report").result == f"What sales says: {' '.join(['Up.'] * 11)}"
    assert workflows.sent[-1].payload == {
        "from": "reports@example.org",
        "to": "ada@example.org",
        "subject": "Report on sales",
        "text": run.step("generate-report").result,
    }


def test_a_busy_ai_is_asked_again(workflows: WorkflowTest):
    workflows.answer_call("download-dataset", body=[1, 2])
    workflows.answer_call("process-chunk", status=429)
    workflows.answer_call("process-chunk", body=SUMMARY)
    workflows.answer_call("send-report", body={"id": "mail_1"})

    run = workflows.start(ai_generation, REQUEST)
    workflows.advance("20s")

    assert run.result == "mail_1"


def test_without_the_data_set_there_is_no_report(workflows: WorkflowTest):
    workflows.answer_call("download-dataset", status=404, body="gone")

    run = workflows.start(ai_generation, REQUEST)
    workflows.advance_to_end(run)

    assert run.error is not None
    assert run.error.message == "refused with 404: gone"
