// The `openai` package of npm.
import OpenAI from "openai";
import { CITY, QUESTION, WEATHER, run } from "./calls.mjs";

const messages = [{ role: "user", content: QUESTION }];
const client = (url) => new OpenAI({ baseURL: url + "/v1", apiKey: "sk-none", maxRetries: 0 });

run({
  async chat(url, model) {
    const answer = await client(url).chat.completions.create({ model, messages, max_tokens: 16 });
    return answer.choices[0].message.content;
  },
  async stream(url, model) {
    const parts = await client(url).chat.completions.create({
      model,
      messages,
      max_tokens: 16,
      stream: true,
    });
    const found = [];
    for await (const part of parts) {
      if (part.choices[0]?.delta?.content) found.push(part.choices[0].delta.content);
    }
    return found;
  },
  async tools(url, model) {
    const answer = await client(url).chat.completions.create({
      model,
      messages,
      max_tokens: 200,
      tools: [WEATHER],
      tool_choice: "required",
    });
    const call = answer.choices[0].message.tool_calls[0].function;
    return [call.name, JSON.parse(call.arguments)];
  },
  async structured(url, model) {
    const answer = await client(url).chat.completions.create({
      model,
      messages,
      max_tokens: 200,
      response_format: { type: "json_schema", json_schema: { name: "city", schema: CITY } },
    });
    return JSON.parse(answer.choices[0].message.content);
  },
  async embeddings(url, model) {
    const answer = await client(url).embeddings.create({ model, input: ["one", "two"] });
    return answer.data.map((row) => row.embedding.length);
  },
  async responses(url, model) {
    const answer = await client(url).responses.create({
      model,
      input: QUESTION,
      max_output_tokens: 16,
    });
    return answer.output_text;
  },
});
