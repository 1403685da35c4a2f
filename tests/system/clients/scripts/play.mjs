// Play scenes: one JSON line in, one JSON line out, until the input ends.

import { subscribe } from "node:diagnostics_channel";
import { createInterface } from "node:readline";
import { setTimeout as nap } from "node:timers/promises";

const QUIET_MS = 10; // without a request under way, and a client has nothing more to send

let underWay = 0;
let thrownOutside = () => {}; // what a client throws outside of any promise ends the scene, not the process
process.on("uncaughtException", (error) => thrownOutside(error));
// A tunnel through the proxy is a request without an end.
const count = (step) => (message) => (underWay += message.request.method === "CONNECT" ? 0 : step);
subscribe("undici:request:create", count(+1));
subscribe("undici:request:trailers", count(-1));
subscribe("undici:request:error", count(-1));

/** Answer each `{scene, arguments}` with `{saw}`, or with `{failure: {kind, message}}` if the client raised. */
export async function play(scenes) {
  for await (const line of createInterface({ input: process.stdin })) {
    const asked = JSON.parse(line);
    const told = await answer(scenes[asked.scene], asked.arguments);
    await quiet();
    process.stdout.write(JSON.stringify(told) + "\n");
  }
}

async function answer(scene, told) {
  const thrown = new Promise((_, reject) => (thrownOutside = reject));
  try {
    const saw = await Promise.race([scene(told), thrown]);
    await Promise.race([quiet(), thrown]);
    return { saw: saw ?? null };
  } catch (error) {
    console.error(error);
    return { failure: { kind: String(error.errorCode ?? error.code ?? error.name), message: String(error.message) } };
  }
}

/** Until the requests have ended that a client sends without waiting for them, as when jsforce closes a job. */
async function quiet() {
  do {
    await nap(QUIET_MS);
  } while (underWay > 0);
}
