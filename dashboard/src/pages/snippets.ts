/** The first event, in the reader's language. The key is a variable: a dashboard never shows one. */
export const LANGUAGES = ["curl", "Python", "TypeScript", "OpenTelemetry"] as const;
export type Language = (typeof LANGUAGES)[number];

export function snippet(language: Language, ingestUrl: string): string {
  const events = ingestUrl.replace(/\/v1\/.*$|\/$/, "");
  switch (language) {
    case "curl":
      return `# One call, by hand. It shows on this page in about two seconds.
curl ${events}/v1/events \\
  -H "Authorization: Bearer $PERCAPITA_INGEST_KEY" \\
  -H "Content-Type: application/json" \\
  -d '{
    "type": "llm", "provider": "openai", "model": "gpt-4o",
    "trace_id": "first-trace",
    "usage": {"input_uncached": 1200, "output": 300},
    "metadata": {"tags": {"userId": "me", "plan": "pro"}}
  }'`;
    case "Python":
      return `# PERCAPITA_URL=${events}, PERCAPITA_KEY is your ingest key
from openai import OpenAI
from percapita import with_trace, wrap

client = wrap(OpenAI())  # once, where the client is made

with with_trace(tags={"userId": user.id, "plan": user.plan}):
    answer(client, question)  # every call inside carries the tags`;
    case "TypeScript":
      return `// Any HTTP client does: one event a call.
await fetch("${events}/v1/events", {
  method: "POST",
  headers: {
    Authorization: \`Bearer \${process.env.PERCAPITA_KEY}\`,
    "Content-Type": "application/json",
  },
  body: JSON.stringify({
    type: "llm", provider: "openai", model: completion.model,
    trace_id: traceId, usage: completion.usage,
    metadata: { tags: { userId: user.id, plan: user.plan } },
  }),
});`;
    case "OpenTelemetry":
      return `# Spans of any GenAI instrumentation, over OTLP/HTTP
export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=${events}/v1/traces
export OTEL_EXPORTER_OTLP_HEADERS="Authorization=Bearer%20$PERCAPITA_KEY"

# whose request it is, on the span or as baggage
span.set_attribute("user.id", user.id)`;
  }
}
