// What every client is asked to do, and how its answers are told: one JSON line for each call.
export const QUESTION = "What is the capital of France?";
export const CITY = {
  type: "object",
  properties: {
    city: { type: "string", maxLength: 40 },
    people: { type: "integer", minimum: 0, maximum: 99999999 },
  },
  required: ["city", "people"],
  additionalProperties: false,
};
export const WEATHER = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get the weather of a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 40 } },
      required: ["city"],
      additionalProperties: false, // or a small model goes on with what it makes up
    },
  },
};
// A scripted model: it calls `get_weather` for Paris, and says again what it was told last.
export const CALLER = "caller";
export const RESULT = "Sunny in Paris.";

export async function run(calls) {
  const [url, model] = process.argv.slice(2);
  for (const [call, asked] of Object.entries(calls)) {
    let said;
    try {
      said = { ok: await asked(url, model) };
    } catch (error) {
      said = { error: String(error.stack ?? error) };
    }
    console.log(JSON.stringify({ call, ...said }));
  }
}
