// Sends one call of each type with Segment's Node client, as its documentation shows, and prints their message ids.
// Usage: node send.cjs HOST WRITE_KEY
"use strict";

const { Analytics } = require("@segment/analytics-node");

async function main() {
  const [host, writeKey] = process.argv.slice(2);
  const analytics = new Analytics({ host, writeKey, flushAt: 4 });
  const sent = [];
  let failed = null;
  analytics.on("error", (error) => {
    failed = error;
  });
  const note = (error, context) => {
    failed = failed || error || context.failedDelivery();
    sent.push({ messageId: context.event.messageId, type: context.event.type });
  };
  analytics.identify({ userId: "node-user", traits: { plan: "gold" } }, note);
  analytics.track({ anonymousId: "node-anonymous", event: "Order Completed", properties: { total: 12.5 } }, note);
  analytics.page({ userId: "node-user", name: "Home", properties: { path: "/" } }, note);
  analytics.screen({ userId: "node-user", name: "Cart" }, note);
  analytics.group({ userId: "node-user", groupId: "g1", traits: { size: 3 } }, note);
  analytics.alias({ userId: "node-user", previousId: "node-anonymous" }, note);
  await analytics.closeAndFlush({ timeout: 15000 });
  if (failed) throw failed.reason || failed;
  console.log(JSON.stringify(sent));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
