// A client of the types that openapi-typescript made: reads, writes, and is refused, at a real shard.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";

declare const process: { env: Record<string, string> };
declare const console: { log(text: string): void };

const shard = createClient<paths>({
  baseUrl: process.env.SHARD,
  headers: { Authorization: `Bearer ${process.env.KEY}` },
});

const made = await shard.POST("/api/v1/nets", {
  body: { name: "Typed" },
  params: { header: { "Idempotency-Key": "typed-1", "X-Audit-Log-Reason": "to try a generated client" } },
});
if (made.error) throw new Error(made.error.error);
const netUid: string = made.data.netUid;

const assigned = await shard.POST("/api/v1/assignments", { body: { userId: "7", netUid } });
const effective: boolean | undefined = assigned.data?.effective;

const status = await shard.GET("/api/v1/status");
if (status.error) throw new Error(status.error.error);
const nets: components["schemas"]["NetStatus"][] = status.data.nets;

const refused = await shard.POST("/api/v1/nets/rename", { body: { netUid: "net_gone", name: "Nowhere" } });
const problem: components["schemas"]["Problem"] | undefined = refused.error;

// @ts-expect-error a name is a string
() => shard.POST("/api/v1/nets", { body: { name: 5 } });
// @ts-expect-error there is no such call
() => shard.GET("/api/v1/nothing");
// @ts-expect-error an answer has no such member
() => status.data.nothing;

console.log(
  JSON.stringify({ netUid, effective, names: nets.map((net) => net.name), refused: problem?.code }),
);
