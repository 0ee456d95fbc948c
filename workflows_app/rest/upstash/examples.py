"""Bodies that /schema/ shows; the tests hold them against the types."""

from __future__ import annotations

from workflows_app.rest.upstash.bodies import (
    DeadLetterBody,
    KeysBody,
    RunEventsBody,
    RunsBody,
    TriggeredBody,
)

CURSOR = "YmVmb3JlOjQy"
PAYLOAD = {"userId": "ada", "items": [{"productId": "teapot", "quantity": 1}]}
BATCH = [
    {
        "destination": "https://flows.example.org/serve/order-fulfillment",
        "headers": {"Upstash-Workflow-RunId": "order-7", "Upstash-Label": "shop"},
        "body": '{"userId":"ada"}',
    }
]
TRIGGERED: TriggeredBody = {"workflowRunId": "order-7", "workflowCreatedAt": 1893585600000}
KEYS: KeysBody = {
    "current": "sig_aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "next": "sig_bbbbbbbbbbbbbbbbbbbbbbbbbbbb",
}
RUNS: RunsBody = {
    "runs": [
        {
            "workflowRunId": "order-7",
            "workflowUrl": "https://flows.example.org/serve/order-fulfillment",
            "workflowState": "RUN_STARTED",
            "workflowRunCreatedAt": 1893585600000,
            "label": "shop",
            "labels": ["shop"],
            "steps": [
                {
                    "type": "sequential",
                    "steps": [
                        {
                            "messageId": "msg_r7",
                            "state": "STEP_SUCCESS",
                            "stepName": "init",
                            "stepType": "Initial",
                            "callType": "step",
                            "concurrent": 1,
                            "createdAt": 1893585600000,
                            "headers": {"Content-Type": ["application/json"]},
                            "out": '{"userId":"ada"}',
                            "retries": 3,
                        }
                    ],
                },
                {
                    "type": "sequential",
                    "steps": [
                        {
                            "messageId": "msg_r7-1",
                            "state": "STEP_SUCCESS",
                            "stepId": 1,
                            "stepName": "create-order",
                            "stepType": "Run",
                            "callType": "step",
                            "concurrent": 1,
                            "createdAt": 1893585600010,
                            "headers": {"Content-Type": ["application/json"]},
                            "out": '{"orderId":1}',
                            "retries": 3,
                        }
                    ],
                },
                {
                    "type": "next",
                    "steps": [{"messageId": "msg_r7-2", "state": "STEP_PROGRESS", "retries": 3}],
                },
            ],
        }
    ],
    "cursor": CURSOR,
}
RUN_EVENTS: RunEventsBody = {
    "events": [
        {
            "time": 1893585600010,
            "state": "STEP_SUCCESS",
            "workflowRunId": "order-7",
            "workflowUrl": "https://flows.example.org/serve/order-fulfillment",
            "workflowCreatedAt": 1893585600000,
            "stepInfo": {
                "messageId": "msg_s12",
                "stepId": 1,
                "stepName": "create-order",
                "stepType": "Run",
                "callType": "step",
                "concurrent": 1,
                "createdAt": 1893585600010,
                "out": '{"orderId":1}',
            },
        },
        {
            "time": 1893585600000,
            "state": "RUN_STARTED",
            "workflowRunId": "order-7",
            "workflowUrl": "https://flows.example.org/serve/order-fulfillment",
            "workflowCreatedAt": 1893585600000,
            "headers": {"Content-Type": ["application/json"]},
        },
    ],
    "cursor": CURSOR,
}
DEAD_LETTER: DeadLetterBody = {
    "dlqId": "1893585612000-3",
    "messageId": "msg_r7",
    "url": "https://flows.example.org/serve/order-fulfillment",
    "method": "POST",
    "header": {"Content-Type": ["application/json"]},
    "body": '{"userId":"ada"}',
    "maxRetries": 3,
    "notBefore": 1893585600000,
    "createdAt": 1893585600000,
    "callerIP": "203.0.113.7",
    "workflowRunId": "order-7",
    "workflowCreatedAt": 1893585600000,
    "workflowUrl": "https://flows.example.org/serve/order-fulfillment",
    "responseStatus": 500,
    "responseHeader": {},
    "responseBody": '{"error":"StepError","message":"step \\"ship\\" failed after 4 attempts"}',
}

WAITER = {
    "url": "https://app.example/api/workflow",
    "headers": {"Upstash-Workflow-Runid": ["wfr_1"]},
    "deadline": 1763720000,
    "timeoutUrl": "https://app.example/api/workflow",
    "timeoutHeaders": {"Upstash-Workflow-Runid": ["wfr_1"]},
}
NOTIFIED = {
    "waiter": WAITER,
    "messageId": "msg_s43",
    "deduplicated": False,
    "error": "",
    "workflowRunId": "wfr_1",
    "workflowCreatedAt": 1763719990000,
}

FLOW_CONTROL = {
    "flowControlKey": "reports",
    "waitListSize": 3,
    "waitlistSize": 3,
    "isPaused": False,
    "isPinnedParallelism": True,
    "isPinnedRate": False,
    "parallelismMax": 2,
    "parallelismCount": 2,
    "rateCount": 0,
}
