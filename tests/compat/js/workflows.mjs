// One workflow for each feature. What a test compares is what the workflow returns or notes.

import {
  WorkflowMiddleware,
  WorkflowNonRetryableError,
  WorkflowRetryAfterError,
} from "@upstash/workflow";
import { createWorkflow } from "@upstash/workflow/express";
import { z } from "zod";
import { earlier, note } from "./serving.mjs";

const third = process.env.THIRD_PARTY;
const now = () => Date.now();

/** Served alone, by `serve`. */
export async function single(context) {
  const said = await context.run("say", () => `hello ${context.requestPayload}`);
  return { said };
}

/** Anew for each tenant: `serveMany` writes into what it is given. */
export function createWorkflows() {
  const results = async (context) => {
    const values = {
      text: await context.run("text", () => "plain"),
      unicode: await context.run("ünï→😀", async () => "żółć 雪 😀 \u2028 \" \\ \n"),
      number: await context.run("number", () => 1.5),
      zero: await context.run("zero", () => 0),
      no: await context.run("no", () => false),
      nothing: await context.run("nothing", () => null),
      empty: await context.run("empty", () => ""),
      numeral: await context.run("numeral", () => "42"),
      nested: await context.run("nested", () => ({ a: [1, { b: [] }], "": {} })),
    };
    const missing = await context.run("missing", () => undefined);
    return { ...values, isMissing: missing === undefined };
  };

  const echo = async (context) => {
    const first = await context.run("first", () => context.requestPayload);
    return await context.run("second", () => first);
  };

  const retried = async (context) => {
    await context.run("before", () => null);
    return await context.run("fails", () => {
      if (earlier(context.workflowRunId, "fails") < (context.requestPayload?.times ?? 2)) {
        throw new Error("not yet");
      }
      return context.retried;
    });
  };

  const sleeps = async (context) => {
    const times = [await context.run("start", now)];
    await context.sleep("number", 1);
    times.push(await context.run("after number", now));
    await context.sleep("duration", "1s");
    times.push(await context.run("after duration", now));
    await context.sleepUntil("date", new Date(times.at(-1) + 1200));
    times.push(await context.run("after date", now));
    await context.sleepUntil("unix", times.at(-1) / 1000 + 1.2);
    times.push(await context.run("after unix", now));
    await context.sleepUntil("text", new Date(times.at(-1) + 1200).toISOString());
    times.push(await context.run("after text", now));
    await context.sleepUntil("past", new Date(0));
    times.push(await context.run("after past", now));
    return times;
  };

  const longSleep = async (context) => {
    await context.sleep("long", context.requestPayload ?? "1d");
    return "awake";
  };

  const calls = async (context) => {
    const answers = {};
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
      const response = await context.call(method, {
        url: `${third}/echo?method=${method}&ü=1`,
        method,
        body: method === "GET" ? undefined : JSON.stringify({ to: method, ü: "😀" }),
        headers: { "X-Own": method, Authorization: "Bearer theirs" },
      });
      answers[method] = response;
    }
    return answers;
  };

  const oddCalls = async (context) => {
    const ask = async (name, path, settings = {}) => {
      const response = await context.call(name, { url: `${third}${path}`, ...settings });
      return { status: response.status, body: response.body, header: response.header };
    };
    return {
      missing: await ask("missing", "/status/404"),
      redirect: await ask("redirect", "/status/300"),
      broken: await ask("broken", "/status/500"),
      empty: await ask("empty", "/empty"),
      binary: await ask("binary", "/binary"),
      form: await ask("form", "/echo", {
        method: "POST",
        body: "a=1&b=2",
        headers: { "content-type": "application/x-www-form-urlencoded" },
      }),
      nobody: await ask("nobody", "/echo", { method: "POST" }),
      slow: await ask("slow", "/status/200?sleep=3000", { timeout: 1 }),
      unreachable: (
        await context.call("unreachable", { url: "http://127.0.0.1:9/closed" })
      ).status,
    };
  };

  const retriedCalls = async (context) => {
    const key = context.workflowRunId;
    const recovers = await context.call("recovers", {
      url: `${third}/flaky/${key}-a/2`,
      retries: 2,
      retryDelay: "100 * (1 + retried)",
    });
    const gives_up = await context.call("gives up", {
      url: `${third}/flaky/${key}-b/5`,
      retries: 1,
      retryDelay: "100",
    });
    const limited = await context.call("limited", {
      url: `${third}/echo`,
      flowControl: { key: `calls-${key}`, parallelism: 1 },
    });
    return [recovers.status, recovers.body, gives_up.status, gives_up.body, limited.status];
  };

  const callsWorkflow = async (context) => {
    const response = await context.call("start another", {
      workflow: workflows.echo,
      body: { from: "the caller" },
    });
    return { status: response.status, started: response.body.workflowRunId };
  };

  const waits = async (context) => {
    const { eventId, timeout } = context.requestPayload;
    return await context.waitForEvent("wait", eventId, timeout ? { timeout } : undefined);
  };

  const notifies = async (context) => {
    const { eventId, eventData, runId } = context.requestPayload;
    return await context.notify("tell", eventId, eventData, runId);
  };

  const notifiesItself = async (context) => {
    const eventId = `own-${context.workflowRunId}`;
    const told = await context.notify("ahead", eventId, { ahead: true }, context.workflowRunId);
    const { eventData, timeout } = await context.waitForEvent("wait", eventId, { timeout: "10s" });
    return { eventData, timeout, told: told.notifyResponse.length };
  };

  const webhooks = async (context) => {
    const webhook = await context.createWebhook("create");
    await context.run("two calls before the waits", async () => {
      note(context.workflowRunId, webhook);
      await fetch(`${webhook.webhookUrl}?n=1`, {
        method: "POST",
        body: JSON.stringify({ n: 1, ü: "😀" }),
        headers: { "content-type": "application/json", "x-from": "a stranger" },
      });
      await fetch(webhook.webhookUrl, { method: "PUT", body: "second" });
    });
    const first = await context.waitForWebhook("first", webhook, "20s");
    const second = await context.waitForWebhook("second", webhook, "20s");
    const third = await context.waitForWebhook("third", webhook, "20s");
    const last = await context.waitForWebhook("nobody", webhook, "1s");
    const show = async ({ timeout, request }) => ({
      timeout,
      method: request.method,
      url: request.url === webhook.webhookUrl ? "exact" : request.url.replace(webhook.webhookUrl, ""),
      from: request.headers.get("x-from"),
      body: await request.text(),
    });
    return {
      webhook,
      calls: [await show(first), await show(second), await show(third)],
      last: { timeout: last.timeout, request: last.request === undefined },
    };
  };

  const child = createWorkflow(async (context) => {
    const { does, ...rest } = context.requestPayload ?? {};
    const result = await context.run("child", () => ({
      rest,
      label: context.label ?? null,
      header: context.headers.get("x-from-parent"),
      runId: context.workflowRunId,
    }));
    if (does === "fail") throw new WorkflowNonRetryableError("on purpose");
    if (does === "cancel") await context.cancel();
    if (does === "sleep") await context.sleep("rest", 1);
    return result;
  });

  const grandchild = async (context) => {
    const depth = context.requestPayload ?? 0;
    if (depth === 3) return await context.run("deepest", () => context.workflowRunId);
    const answer = await context.invoke("deeper", { workflow: workflows.nested, body: depth + 1 });
    return answer.body;
  };

  const invokes = async (context) => {
    const ask = (name, body, settings = {}) =>
      context.invoke(name, { workflow: child, body, ...settings });
    return {
      plain: await ask("plain", { n: 1, ü: "😀" }, {
        headers: { "x-from-parent": "yes" },
        label: "a-child",
        workflowRunId: `chosen-${context.workflowRunId}`,
        retries: 1,
        retryDelay: "100",
      }),
      failed: await ask("failed", { does: "fail" }),
      canceled: await ask("canceled", { does: "cancel" }),
      limited: await ask("limited", { n: 2 }, {
        flowControl: { key: `invoke-${context.workflowRunId}`, parallelism: 1 },
      }),
    };
  };

  const cancels = async (context) => {
    await context.run("before", () => null);
    await context.cancel();
    await context.run("after", () => note(context.workflowRunId, "went on"));
  };

  const asksModel = async (context) => {
    const { status, body } = await context.api.openai.call("ask", {
      baseURL: third,
      token: "theirs",
      operation: "chat.completions.create",
      body: { model: "small", messages: [{ role: "user", content: "say it" }] },
    });
    return [status, body.choices[0].message.content];
  };

  const parallel = async (context) => {
    const [a, b, c] = await Promise.all([
      context.run("a", () => "a"),
      context.run("b", async () => "b"),
      context.run("c", () => undefined),
    ]);
    return await context.run("join", () => [a, b, c ?? "nothing"]);
  };

  const parallelOfAll = async (context) => {
    const start = await context.run("start", now);
    const key = context.workflowRunId;
    const notYetAwaited = context.sleep("short", 1);
    const [, , call, child_, failed, event, late, ran] = await Promise.all([
      notYetAwaited,
      context.sleepUntil("until", new Date(start + 1500)),
      context.call("call", { url: `${third}/flaky/${key}/1`, retries: 1, retryDelay: "200" }),
      context.invoke("invoke", { workflow: child, body: { does: "sleep", n: 3 } }),
      context.invoke("invoke failing", { workflow: child, body: { does: "fail" } }),
      context.waitForEvent("event", `event-${key}`, { timeout: "20s" }),
      context.waitForEvent("late event", `late-${key}`, { timeout: "1s" }),
      context.run("step", () => "ran"),
    ]);
    const after = await context.run("after", now);
    const again = await Promise.all([
      context.run("again 1", () => 1),
      context.call("again 2", { url: `${third}/status/201` }),
    ]);
    return {
      took: after - start,
      call: [call.status, call.body],
      child: child_.body.rest,
      failed: failed.isFailed,
      event,
      late: late.timeout,
      ran,
      again: [again[0], again[1].status],
    };
  };

  const chained = async (context) => {
    const branch = async (name) => {
      const one = await context.run(`${name} 1`, () => 1);
      const two = await context.run(`${name} 2`, () => one + 1);
      return await context.run(`${name} 3`, () => two + 1);
    };
    return await Promise.all([branch("left"), branch("right")]);
  };

  // Its branch is retried while the event of the other one arrives.
  const waitsWhileRetrying = async (context) => {
    const key = context.workflowRunId;
    const [event, tries] = await Promise.all([
      context.waitForEvent("wait", `event-${key}`, { timeout: "20s" }),
      context.run("retrying", () => {
        const tries = earlier(key, "retrying");
        if (tries < 3) throw new Error("not yet");
        return tries;
      }),
    ]);
    return { event: event.eventData, tries };
  };

  const properties = async (context) => {
    return await context.run("look", () => ({
      header: context.headers.get("x-user"),
      payload: context.requestPayload,
      env: context.env.QSTASH_URL === process.env.QSTASH_URL,
      url: context.url,
      runId: context.workflowRunId,
      createdAt: context.workflowRunCreatedAt,
      label: context.label ?? null,
      labels: context.labels ?? null,
      retried: context.retried,
      client: typeof context.qstashClient.publishJSON,
    }));
  };

  const publishesByItself = async (context) => {
    return await context.run("publish", async () => {
      const url = `${third}/sink/${context.workflowRunId}`;
      const { messageId } = await context.qstashClient.publishJSON({ url, body: { by: "hand" } });
      return messageId;
    });
  };

  const failureNote = ({ context, failStatus, failResponse, failHeaders, failStack }) => {
    note(context.workflowRunId, {
      failStatus,
      failResponse,
      failHeaders: Object.keys(failHeaders),
      failStack: failStack.split("\n")[0],
      payload: context.requestPayload ?? null,
      header: context.headers.get("x-user"),
      label: context.label ?? null,
      url: context.url,
    });
  };

  const fails = createWorkflow(
    async (context) => {
      const { kind, ...rest } = context.requestPayload;
      await context.run("before", () => rest);
      await context.run("breaks", () => {
        if (earlier(context.workflowRunId, "breaks") >= (rest.heals ?? Infinity)) return "healed";
        if (kind === "final") throw new WorkflowNonRetryableError("never again");
        if (kind === "later") throw new WorkflowRetryAfterError("later", rest.after);
        throw new TypeError("broken");
      });
      return "healed";
    },
    {
      failureFunction: async (failure) => {
        failureNote(failure);
        const { breakFailureFunction } = failure.context.requestPayload;
        const run = failure.context.workflowRunId;
        if (earlier(run, "failure function") < (breakFailureFunction ?? 0)) {
          throw new Error("the failure function broke");
        }
        return "taken care of";
      },
    },
  );

  const failsWithoutFunction = async (context) => {
    await context.run("breaks", () => {
      throw new Error("broken");
    });
  };

  const failsBesideInvoke = async (context) => {
    await Promise.all([
      context.invoke("invoke", { workflow: child, body: { does: "sleep" } }),
      context.run("breaks", async () => {
        await new Promise((resolve) => setTimeout(resolve, 500));
        throw new Error("broken");
      }),
    ]);
  };

  const authorizes = createWorkflow(
    async (context) => {
      if (context.headers.get("authorization") !== "Bearer letmein") return;
      const first = await context.run("first", () => "in");
      const { status } = await context.call("call", { url: `${third}/status/200` });
      return [first, status];
    },
    { failureFunction: failureNote },
  );

  const parses = createWorkflow(
    async (context) => context.run("parsed", () => context.requestPayload),
    { initialPayloadParser: (text) => ({ parsed: text.split(",") }) },
  );

  const validates = createWorkflow(
    async (context) => context.run("valid", () => context.requestPayload),
    { schema: z.object({ n: z.number() }) },
  );

  const traced = createWorkflow(
    async (context) => {
      const [one] = await Promise.all([
        context.run("one", () => 1),
        context.run("two", () => 2),
      ]);
      await context.sleep("rest", 1);
      return one;
    },
    {
      middlewares: [
        new WorkflowMiddleware({
          name: "trace",
          callbacks: {
            runStarted: ({ context }) => note(context.workflowRunId, "runStarted"),
            beforeExecution: ({ context, stepName }) =>
              note(context.workflowRunId, `before ${stepName}`),
            afterExecution: ({ context, stepName }) =>
              note(context.workflowRunId, `after ${stepName}`),
            runCompleted: ({ context, result }) =>
              note(context.workflowRunId, `runCompleted ${result}`),
          },
        }),
      ],
      verbose: true,
      disableTelemetry: true,
    },
  );

  const large = async (context) => {
    const { size, padding } = context.requestPayload;
    const text = "ä€".repeat(size / 5);
    const step = await context.run("step", () => text);
    const posted = await context.call("post", {
      url: `${third}/sink/${context.workflowRunId}`,
      method: "POST",
      body: step,
    });
    const got = await context.call("get", { url: `${third}/bytes/${size}` });
    const same = step === text && padding === text;
    return { same, posted: posted.status, got: got.body.length, text };
  };

  const largeInParallel = async (context) => {
    const text = "ä€".repeat(context.requestPayload / 5);
    const results = await Promise.all([
      context.run("left", () => text),
      context.run("right", () => text),
      context.call("get", { url: `${third}/bytes/${context.requestPayload}` }),
    ]);
    return [results[0] === text, results[1] === text, results[2].body.length];
  };

  const largeError = createWorkflow(
    async (context) => {
      await context.run("breaks", () => {
        throw new WorkflowNonRetryableError("x".repeat(context.requestPayload.size));
      });
    },
    {
      failureFunction: ({ context, failResponse }) =>
        note(context.workflowRunId, failResponse.length),
    },
  );

  const asksTooMuch = createWorkflow(
    async (context) => {
      await context.call("ask", { url: `${third}/status/200`, ...context.requestPayload });
    },
    { failureFunction: failureNote },
  );

  const slow = async (context) => {
    const run = (name) =>
      context.run(name, async () => {
        const start = now();
        await new Promise((resolve) => setTimeout(resolve, context.requestPayload?.ms ?? 400));
        return [start, now()];
      });
    return await Promise.all([run("one"), run("two"), run("three")]);
  };

  const workflows = Object.fromEntries(
    Object.entries({
      results,
      echo,
      retried,
      sleeps,
      longSleep,
      calls,
      oddCalls,
      retriedCalls,
      callsWorkflow,
      waits,
      notifies,
      notifiesItself,
      webhooks,
      child,
      nested: grandchild,
      invokes,
      cancels,
      asksModel,
      parallel,
      parallelOfAll,
      chained,
      waitsWhileRetrying,
      properties,
      publishesByItself,
      fails,
      failsWithoutFunction,
      failsBesideInvoke,
      authorizes,
      parses,
      validates,
      traced,
      large,
      largeInParallel,
      largeError,
      asksTooMuch,
      slow,
    }).map(([name, each]) => [name, typeof each === "function" ? createWorkflow(each) : each]),
  );
  return workflows;
}
