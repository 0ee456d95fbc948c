// Does what it is told: a JSON object a line on stdin, one for each on stdout.

import { createInterface } from "node:readline";

// stdout is for answers alone.
console.log = console.info = console.error;

export async function answerEach(perform) {
  for await (const line of createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    const answer = (told) =>
      process.stdout.write(`${JSON.stringify({ number: request.number, ...told })}\n`);
    perform(request).then(
      (result) => answer({ result }),
      ({ name, message, status, codes }) => answer({ error: { name, message, status, codes } }),
    );
  }
}
