// node-apn as a sender of express.py: as it comes, on one connection, a fixed number of requests open.
'use strict';
const task = JSON.parse(process.argv[2]);
const apn = require(task.package);

const provider = new apn.Provider({
  token: { key: task.key, keyId: task.keyId, teamId: task.teamId },
  address: 'localhost', port: task.port, ca: [task.ca], production: false, requestTimeout: 60000,
});
const payload = JSON.parse(task.payload);
const tokens = Array.from({ length: task.devices }, (_, number) => number.toString(16).padStart(64, '0'));

function note(number) {
  const made = new apn.Notification();
  const digits = number.toString(16).padStart(32, '0');
  made.id = digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  made.topic = task.topic;
  made.pushType = 'alert';
  made.priority = 10;
  made.rawPayload = payload;
  return made;
}

async function sendAll(first, until) {
  let next = first;
  async function worker() {
    while (next < until) {
      const number = next++;
      const { failed } = await provider.send(note(number), tokens[number % tokens.length]);
      if (failed.length) throw new Error(JSON.stringify(failed[0]) + failed[0].error);
    }
  }
  await Promise.all(Array.from({ length: Math.min(task.streams, until - first) }, worker));
}

(async () => {
  await sendAll(0, 1);
  await sendAll(1, 2000);
  const before = process.resourceUsage();
  const start = process.hrtime.bigint();
  await sendAll(2000, 2000 + task.requests);
  const seconds = Number(process.hrtime.bigint() - start) / 1e9;
  const after = process.resourceUsage();
  const cpu = (after.userCPUTime + after.systemCPUTime - before.userCPUTime - before.systemCPUTime) / 1e6;
  console.log(JSON.stringify({ requests: task.requests, seconds, cpu }));
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
