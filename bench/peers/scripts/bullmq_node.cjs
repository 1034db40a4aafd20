// BullMQ on Node: the same commands and records as common.py.
const fs = require("fs");
const { Queue, Worker } = require("bullmq");

const orders = JSON.parse(process.env.PEER);
const address = new URL(orders.url);
const connection = { host: address.hostname, port: Number(address.port), maxRetriesPerRequest: null };
const SLEEP = { noop: 0, io: 50, long: 1000 };
const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (ms) => new Promise((wake) => setTimeout(wake, ms));

let file = null;
function record(kind, i) {
  if (file === null) file = fs.openSync(orders.record, "a");
  const line = Buffer.allocUnsafe(17);
  line.write(kind, 0, 1, "latin1");
  line.writeUInt32LE(i, 1);
  line.writeUInt32LE(process.pid, 5);
  line.writeDoubleLE(now(), 9);
  fs.writeSync(file, line);
}

function work() {
  const perform = async (job) => {
    record("s", job.data.i);
    if (job.name !== "noop") {
      await sleep(SLEEP[job.name]);
      record("e", job.data.i);
    }
  };
  const worker = new Worker("bench", perform, { connection, concurrency: orders.slots });
  worker.on("error", (error) => console.error(error));
}

async function enqueue(queue, ids) {
  const { kind, mode } = orders;
  const started = now();
  if (mode === "one") {
    for (const i of ids) await queue.add(kind, { i });
  } else if (mode === "callers") {
    let next = 0;
    const caller = async () => {
      while (next < ids.length) await queue.add(kind, { i: ids[next++] });
    };
    await Promise.all(Array.from({ length: orders.callers }, caller));
  } else {
    for (let start = 0; start < ids.length; start += orders.batch) {
      await queue.addBulk(ids.slice(start, start + orders.batch).map((i) => ({ name: kind, data: { i } })));
    }
  }
  return now() - started;
}

async function pace(queue, ids) {
  const at = [];
  const calls = [];
  const began = now();
  for (let n = 0; n < ids.length; n++) {
    const wait = began + n / orders.rate - now();
    if (wait > 0) await sleep(wait * 1000);
    at.push(now());
    calls.push(queue.add(orders.kind, { i: ids[n] }));
    if (n % 64 === 63 && wait <= 0) await calls[n];
  }
  await Promise.all(calls);
  return at;
}

async function submit(command) {
  const queue = new Queue("bench", { connection });
  await queue.waitUntilReady();
  const ids = Array.from({ length: orders.count }, (_, n) => orders.first + n);
  const answer = await (command === "enqueue" ? enqueue(queue, ids) : pace(queue, ids));
  fs.writeFileSync(orders.out, JSON.stringify(answer));
  await queue.close();
}

const command = process.argv[2];
if (command === "work") work();
else if (command !== "prepare") submit(command);
