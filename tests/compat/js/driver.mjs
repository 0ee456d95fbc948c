// Calls the published clients: a JSON object a line on stdin, one for each on stdout.

import { createInterface } from "node:readline";
import { Client as QStash, Receiver } from "@upstash/qstash";
import { Client as Workflow } from "@upstash/workflow";

// stdout is for answers alone.
console.log = console.info = console.error;

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

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  const answer = (told) =>
    process.stdout.write(`${JSON.stringify({ number: request.number, ...told })}\n`);
  perform(request).then(
    (result) => answer({ result }),
    ({ name, message, status }) => answer({ error: { name, message, status } }),
  );
}
