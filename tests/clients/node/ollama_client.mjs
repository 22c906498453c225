// The `ollama` package of npm.
import { Ollama } from "ollama";
import { CITY, QUESTION, WEATHER, run } from "./calls.mjs";

const messages = [{ role: "user", content: QUESTION }];
const client = (url) => new Ollama({ host: url });

run({
  async chat(url, model) {
    const answer = await client(url).chat({ model, messages, options: { num_predict: 16 } });
    return answer.message.content;
  },
  async stream(url, model) {
    const parts = await client(url).chat({
      model,
      messages,
      stream: true,
      options: { num_predict: 16 },
    });
    const found = [];
    for await (const part of parts) if (part.message.content) found.push(part.message.content);
    return found;
  },
  async tools(url, model) {
    const answer = await client(url).chat({
      model,
      messages,
      tools: [WEATHER],
      options: { num_predict: 64 },
    });
    const calls = answer.message.tool_calls ?? [];
    return [calls.map((call) => call.function.name), answer.message.content];
  },
  async structured(url, model) {
    const answer = await client(url).chat({
      model,
      messages,
      format: CITY,
      options: { num_predict: 200 },
    });
    return JSON.parse(answer.message.content);
  },
  async embeddings(url, model) {
    const answer = await client(url).embed({ model, input: ["one", "two"] });
    return answer.embeddings.map((row) => row.length);
  },
  async models(url) {
    return (await client(url).list()).models.map((one) => one.name);
  },
});
