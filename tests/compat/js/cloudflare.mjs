// Calls the client of Cloudflare.

import Cloudflare from "cloudflare";
import { answerEach } from "./lines.mjs";

const clients = new Map();

/** Each is known by a name of its own, and counts its requests, retries among them. */
function clientFor({ client, url, token }) {
  if (!clients.has(client)) {
    const made = { requests: 0 };
    const counted = (...args) => {
      made.requests += 1;
      return fetch(...args);
    };
    made.sdk = new Cloudflare({ baseURL: url, apiToken: token, fetch: counted });
    clients.set(client, made);
  }
  return clients.get(client);
}

async function perform(request) {
  const { sdk, requests } = clientFor(request);
  if (request.method === "requests") return requests;
  const names = request.method.split(".");
  const last = names.pop();
  const owner = names.reduce((object, name) => object[name], sdk.workflows);
  try {
    return await answerOf(owner[last](...request.args), request);
  } catch ({ constructor, message, status, errors }) {
    throw { name: constructor.name, message, status, codes: errors?.map(({ code }) => code) };
  }
}

async function answerOf(call, { every, raw }) {
  if (raw) {
    const answer = await call.asResponse();
    return Buffer.from(await answer.arrayBuffer()).toString("base64");
  }
  if (every) {
    const items = [];
    for await (const item of call) items.push(item);
    return items;
  }
  const answer = await call;
  if (!answer?.getPaginatedItems) return answer;
  return { result: answer.getPaginatedItems(), result_info: answer.result_info };
}

await answerEach(perform);
