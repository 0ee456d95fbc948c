// Serves every workflow for every tenant, signatures verified.

import { serve as serveHono } from "@hono/node-server";
import { Client, Receiver } from "@upstash/qstash";
import { serve, serveMany } from "@upstash/workflow/express";
import {
  createWorkflow,
  serve as serveByHono,
  serveMany as serveManyByHono,
} from "@upstash/workflow/hono";
import { Hono } from "hono";
import { listen, newApp, tenants } from "./serving.mjs";
import { createWorkflows, single } from "./workflows.mjs";

const app = newApp();

for (const [name, { token, currentKey, nextKey }] of Object.entries(tenants)) {
  // The main tenant's credentials come from the environment, as they usually do.
  const options =
    name === "default"
      ? {}
      : {
          qstashClient: new Client({ baseUrl: process.env.QSTASH_URL, token }),
          receiver: new Receiver({ currentSigningKey: currentKey, nextSigningKey: nextKey }),
        };
  app.use(`/${name}`, serveMany(createWorkflows(), options));
}

app.use("/single", serve(single));

const region = {
  QSTASH_REGION: "EU_CENTRAL_1",
  EU_CENTRAL_1_QSTASH_URL: process.env.QSTASH_URL,
  EU_CENTRAL_1_QSTASH_TOKEN: process.env.QSTASH_TOKEN,
  EU_CENTRAL_1_QSTASH_CURRENT_SIGNING_KEY: process.env.QSTASH_CURRENT_SIGNING_KEY,
  EU_CENTRAL_1_QSTASH_NEXT_SIGNING_KEY: process.env.QSTASH_NEXT_SIGNING_KEY,
};
app.use("/region", serve(single, { env: region }));

const hono = new Hono();
hono.post("/single", serveByHono(single));
hono.post("/many/*", serveManyByHono({ single: createWorkflow(single) }));
const honoServer = serveHono({ fetch: hono.fetch, port: 0, hostname: "127.0.0.1" }, ({ port }) => {
  app.get("/hono", (_, response) => void response.json({ url: `http://127.0.0.1:${port}` }));
  listen(app);
});
honoServer.keepAliveTimeout = 60_000;
