// Calls the clients of Upstash.

import { Client as QStash, Receiver } from "@upstash/qstash";
import { Client as Workflow } from "@upstash/workflow";
import { answerEach } from "./lines.mjs";

const clients = new Map();

/** Without a URL and a token it takes them from its environment. */
function clientFor({ client, url, token, headers }) {
  const key = JSON.stringify([client, url, token, headers]);
  if (!clients.has(key)) {
    const Client = client === "workflow" ? Workflow : QStash;
    const given = { baseUrl: url || undefined, token: token || undefined, headers, retry: false };
    clients.set(key, new Client(given));
  }
  return clients.get(key);
}

function subjectFor(request) {
  if (request.client === "receiver") {
    const [currentSigningKey, nextSigningKey] = request.keys;
    return new Receiver({ currentSigningKey, nextSigningKey });
  }
  const client = clientFor(request);
  return request.queue ? client.queue({ queueName: request.queue }) : client;
}

async function perform(request) {
  const names = request.method.split(".");
  const last = names.pop();
  const owner = names.reduce((object, name) => object[name], subjectFor(request));
  return await owner[last](...(request.args ?? []));
}

await answerEach(perform);
