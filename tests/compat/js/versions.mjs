// A workflow that has changed since some of its runs began.

import { serve } from "@upstash/workflow/express";
import { listen, newApp } from "./serving.mjs";

const version = process.env.VERSION;

async function order(context) {
  const price = await context.run("price", () => `priced by ${version}`);
  if (version === "other") await context.sleep("a rest that was not there", 1);
  await context.waitForEvent("approval", context.requestPayload.event, { timeout: "1m" });
  const sent = await context.run("send", () => `sent by ${version}`);
  if (version === "one") return [price, sent];
  return [price, sent, await context.run("thank", () => `thanked by ${version}`)];
}

const app = newApp();
app.use("/order", serve(order));
listen(app);
