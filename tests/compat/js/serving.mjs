// What the endpoints share: an Express app that remembers its hits and what workflows noted.

import express from "express";

const hits = new Map();
const notes = new Map();
const counts = new Map();

function push(map, key, value) {
  map.set(key, [...(map.get(key) ?? []), value]);
}

/** Remember a value for a run; the tests read it. */
export function note(runId, value) {
  push(notes, runId, value);
}

/** How often this was asked before, for this run and name. */
export function earlier(runId, name) {
  const key = `${runId} ${name}`;
  counts.set(key, (counts.get(key) ?? 0) + 1);
  return counts.get(key) - 1;
}

export function newApp() {
  const app = express();
  app.get("/seen/:run", (request, response) => {
    const { run } = request.params;
    response.json({ hits: hits.get(run) ?? [], notes: notes.get(run) ?? [] });
  });
  app.use((request, response, next) => {
    const run = request.headers["upstash-workflow-runid"] ?? "none";
    push(hits, run, { at: Date.now(), url: request.originalUrl, headers: request.headers });
    next();
  });
  app.use(express.json({ limit: "100mb", strict: false }));
  app.use(express.text({ limit: "100mb" }));
  return app;
}

export function listen(app) {
  const server = app.listen(Number(process.env.PORT ?? 0), "127.0.0.1", () =>
    console.log(`listening ${server.address().port}`),
  );
  server.keepAliveTimeout = 60_000;
  process.on("SIGTERM", () => {
    server.close(() => process.exit());
    // A connection that is at work falls idle later.
    setInterval(() => server.closeIdleConnections(), 10);
  });
}

export const tenants = JSON.parse(process.env.TENANTS ?? "{}");
