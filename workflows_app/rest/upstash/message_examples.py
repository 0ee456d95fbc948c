"""Bodies of plain messages that /schema/ shows; the tests hold them against the types."""

from __future__ import annotations

from workflows_app.rest.upstash.message_bodies import (
    DeadMessageBody,
    MessageBody,
    MessageEventBody,
    QueueBody,
    ScheduleBody,
    UrlGroupBody,
)

_ID = "msg_vT2VLY6eBl8Hn2lmfPzRSCTX"

MESSAGE: MessageBody = {
    "messageId": _ID,
    "url": "https://shop.example.org/orders",
    "method": "POST",
    "header": {"Content-Type": ["application/json"]},
    "body": '{"orderId":7}',
    "maxRetries": 3,
    "notBefore": 1893585600000,
    "createdAt": 1893585600000,
    "callerIP": "203.0.113.7",
    "queueName": "orders",
    "label": "shop",
    "labels": ["shop"],
}
DEAD_MESSAGE: DeadMessageBody = {
    "messageId": _ID,
    "url": "https://shop.example.org/orders",
    "method": "POST",
    "header": {"Content-Type": ["application/json"]},
    "body": '{"orderId":7}',
    "maxRetries": 3,
    "notBefore": 1893585600000,
    "createdAt": 1893585600000,
    "callerIP": "203.0.113.7",
    "dlqId": "1893585612000-3",
    "responseStatus": 404,
    "responseHeader": {"Content-Type": ["text/plain"]},
    "responseBody": "there is no such order",
}
EVENT: MessageEventBody = {
    "time": 1893585600120,
    "state": "DELIVERED",
    "messageId": _ID,
    "url": "https://shop.example.org/orders",
    "method": "POST",
    "header": {"Content-Type": ["application/json"]},
    "body": "eyJvcmRlcklkIjo3fQ==",
    "maxRetries": 3,
    "callerIp": "203.0.113.7",
    "queueName": "orders",
    "responseStatus": 200,
    "responseBody": "ok",
    "responseHeader": {"Content-Type": ["text/plain"]},
    "responseHeaders": {"Content-Type": ["text/plain"]},
}
QUEUE: QueueBody = {
    "name": "orders",
    "createdAt": 1893585600000,
    "updatedAt": 1893585600000,
    "parallelism": 2,
    "lag": 5,
    "paused": False,
}
URL_GROUP: UrlGroupBody = {
    "name": "shops",
    "createdAt": 1893585600000,
    "updatedAt": 1893585600000,
    "endpoints": [
        {"url": "https://shop.example.org/", "name": "main"},
        {"url": "https://other.example.org/"},
    ],
}
SCHEDULE: ScheduleBody = {
    "scheduleId": "scd_c0ffee",
    "createdAt": 1893585600000,
    "cron": "CRON_TZ=Europe/Berlin 0 9 * * 1-5",
    "destination": "https://shop.example.org/report",
    "method": "POST",
    "header": {"Content-Type": ["application/json"]},
    "retries": 3,
    "callerIP": "203.0.113.7",
    "isPaused": False,
    "lastScheduleTime": 1893571200000,
    "nextScheduleTime": 1893657600000,
    "lastScheduleStates": {_ID: "SUCCESS"},
}
REPUBLISHED = {"messageId": "msg_2ZVtV7xjyD3bcP0Tl8mMVzJv"}
ENDPOINTS = {"endpoints": [{"url": "https://shop.example.org/", "name": "main"}]}
