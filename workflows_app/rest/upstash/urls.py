"""Routes of the dialect, below `/v2/`."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from workflows_app.rest.upstash import (
    dlq,
    events,
    flow_control,
    keys,
    liveness,
    logs,
    message_dlq,
    messages,
    publication_logs,
    publish,
    queues,
    runs,
    schedules,
    trigger,
    url_groups,
)

urlpatterns: list[URLPattern] = [
    path("publish/<path:destination>", publish.PublishView.as_view()),
    path("enqueue/<str:queue>/<path:destination>", publish.EnqueueView.as_view()),
    path("batch", publish.BatchView.as_view()),
    path("wait/<path:event_id>", events.WaitView.as_view()),
    path("notify/<path:event_id>", events.NotifyView.as_view()),
    path("waiters/<path:event_id>", events.WaitersView.as_view()),
    path(
        "workflows/hooks/<str:user_id>/<str:run_id>/<path:event_id>", events.WebhookView.as_view()
    ),
    path("trigger/<path:destination>", trigger.TriggerView.as_view()),
    path("batch/trigger", trigger.BatchTriggerView.as_view()),
    path("workflows/logs", logs.LogsView.as_view()),
    path("workflows/events", logs.EventsView.as_view()),
    path("workflows/runs", runs.RunsView.as_view()),
    path("workflows/runs/<path:run_id>", runs.RunView.as_view()),
    path("messages", messages.MessagesView.as_view()),
    path("messages/<path:message_id>", messages.MessageView.as_view()),
    path("queues", queues.QueuesView.as_view()),
    path("queues/<str:queue>", queues.QueueView.as_view()),
    path("queues/<str:queue>/pause", queues.PauseQueueView.as_view()),
    path("queues/<str:queue>/resume", queues.ResumeQueueView.as_view()),
    path("topics", url_groups.UrlGroupsView.as_view()),
    path("topics/<str:name>", url_groups.UrlGroupView.as_view()),
    path("topics/<str:name>/endpoints", url_groups.EndpointsView.as_view()),
    path("schedules", schedules.SchedulesView.as_view()),
    path("schedules/<str:schedule>/pause", schedules.PauseScheduleView.as_view()),
    path("schedules/<str:schedule>/resume", schedules.ResumeScheduleView.as_view()),
    path("schedules/<path:schedule>", schedules.ScheduleView.as_view()),
    # As the Go SDK writes it.
    path("Schedules/<path:schedule>", schedules.ScheduleView.as_view(schema=None)),
    path("events", publication_logs.MessageEventsView.as_view()),
    path("logs", publication_logs.MessageLogsView.as_view()),
    path("dlq", message_dlq.DeadMessagesView.as_view()),
    path("dlq/retry", message_dlq.RetryManyView.as_view()),
    path("dlq/retry/<str:dlq_id>", message_dlq.RetryView.as_view()),
    path("dlq/<str:dlq_id>", message_dlq.DeadMessageView.as_view()),
    path("workflows/dlq", dlq.DeadLettersView.as_view()),
    path("workflows/dlq/resume", dlq.ResumeManyView.as_view()),
    path("workflows/dlq/restart", dlq.RestartManyView.as_view()),
    path("workflows/dlq/resume/<str:dlq_id>", dlq.ResumeView.as_view()),
    path("workflows/dlq/restart/<str:dlq_id>", dlq.RestartView.as_view()),
    path("workflows/dlq/callback/<str:dlq_id>", dlq.FailureCallbackView.as_view()),
    path("workflows/dlq/<str:dlq_id>", dlq.DeadLetterView.as_view()),
    path("flowControl", flow_control.FlowControlsView.as_view()),
    path("flowControl/<path:key>/pause", flow_control.PauseFlowControlView.as_view()),
    path("flowControl/<path:key>/resume", flow_control.ResumeFlowControlView.as_view()),
    path("flowControl/<path:key>/pin", flow_control.PinFlowControlView.as_view()),
    path("flowControl/<path:key>/unpin", flow_control.UnpinFlowControlView.as_view()),
    path("flowControl/<path:key>/resetRate", flow_control.ResetRateView.as_view()),
    # As older SDKs write it.
    path("flowControl/<path:key>/reset", flow_control.ResetRateView.as_view(schema=None)),
    path("flowControl/<path:key>", flow_control.FlowControlView.as_view()),
    path("globalParallelism", flow_control.GlobalParallelismView.as_view()),
    path("keys", keys.KeysView.as_view()),
    path("keys/rotate", keys.RotateKeysView.as_view()),
    path("liveness", liveness.LivenessView.as_view()),
    # No converter matches line breaks, which a percent-encoded path may hold.
    re_path(r"[\s\S]+", liveness.NoSuchRouteView.as_view()),
]
