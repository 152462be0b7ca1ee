// Verifies signed payloads, a JSON line each, with the libraries that receivers in Node use; prints what each one says.
import { createInterface } from "node:readline";
import * as standard from "standardwebhooks";
import * as svix from "svix";

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line);
  const said = [standard, svix].map(({ Webhook, WebhookVerificationError }) => {
    try {
      new Webhook(secret).verify(body, headers);
      return "verified";
    } catch (error) {
      return error instanceof WebhookVerificationError ? "refused" : String(error);
    }
  });
  console.log(said.join(" "));
}
