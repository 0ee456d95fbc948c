// Agents of @upstash/workflow-agents, which speak to the tests' own language model.

import { WorkflowTool, agentWorkflow } from "@upstash/workflow-agents";
import { serve } from "@upstash/workflow/express";
import { tool } from "ai";
import express from "express";
import { z } from "zod";

const baseURL = `${process.env.THIRD_PARTY}/v1`;

function cast(context) {
  const agents = agentWorkflow(context);
  const model = agents.openai("small", {
    baseURL,
    apiKey: "theirs",
    callSettings: { retries: 1, timeout: 10 },
  });
  const inputSchema = z.object({ prompt: z.string() });
  const weather = tool({
    description: "knows the weather",
    inputSchema,
    execute: async ({ prompt }) => `sun over ${prompt}`,
  });
  const news = new WorkflowTool({
    description: "knows the news",
    schema: inputSchema,
    invoke: async ({ prompt }) => `${prompt} in the news`,
  });
  const agent = (name, background, tools = {}) =>
    agents.agent({ model, name, maxSteps: 3, background, tools });
  return { agents, model, weather, news, agent };
}

async function alone(context) {
  const { agents, agent, weather, news } = cast(context);
  const reporter = agent("reporter", "ask [weather], then [news]", { weather, news });
  return await agents.task({ agent: reporter, prompt: context.requestPayload.prompt }).run();
}

async function together(context) {
  const { agents, model, agent, weather } = cast(context);
  const meteorologist = agent("meteorologist", "ask [weather]", { weather });
  const critic = agent("critic", "judge what you hear");
  return await agents
    .task({
      model,
      maxSteps: 4,
      agents: [meteorologist, critic],
      prompt: context.requestPayload.prompt,
      background: "ask [meteorologist], then [critic]",
    })
    .run();
}

const app = express();
app.use(express.json({ limit: "10mb" }));
app.use("/alone", serve(alone));
app.use("/together", serve(together));
const server = app.listen(0, "127.0.0.1", () => console.log(`listening ${server.address().port}`));
