// The `ollama` package of npm.
import { Ollama } from "ollama";
import { CALLER, CITY, QUESTION, RESULT, WEATHER, run } from "./calls.mjs";

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
  // A call and, with its result, the next answer.
  async tools(url) {
    const tools = [WEATHER];
    const asked = (await client(url).chat({ model: CALLER, messages, tools })).message;
    const call = asked.tool_calls[0].function;
    const result = { role: "tool", tool_name: call.name, content: RESULT };
    const after = await client(url).chat({
      model: CALLER,
      messages: [...messages, asked, result],
      tools,
    });
    return [call.name, call.arguments, after.message.content];
  },
  // How long the prompt is, without and with a tool.
  async tools_read(url, model) {
    const found = [];
    for (const tools of [[], [WEATHER]]) {
      const options = { num_predict: 1 };
      found.push((await client(url).chat({ model, messages, tools, options })).prompt_eval_count);
    }
    return found;
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
