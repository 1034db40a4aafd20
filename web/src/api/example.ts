import type { JobStatus } from "./schema.d.ts";
import { Refused, Tidegate } from "./tidegate.ts";

const tidegate = new Tidegate("http://127.0.0.1:8080", { "X-User-ID": "ada" });

// Submit. The key makes a repeat the same job.
const { job_id } = await tidegate.call("post", "/jobs", {
  body: { type: "greet", payload: { name: "Ada", times: 2 }, idempotency_key: "greet-ada-ts" },
});

// Wait: an answer comes once the job has ended, or after 30 s.
let job: JobStatus;
do {
  job = await tidegate.call("get", "/jobs/{job_id}/status", { path: { job_id }, query: { wait: 30 } });
} while (job.status === "queued" || job.status === "running");
console.log(job.status, job.attempts);

// List.
const done = await tidegate.call("get", "/jobs", { query: { type: "greet", status: "succeeded", limit: 10 } });
console.log(done.items.map((item) => `${item.type}: ${item.phase}`));

// Be refused.
try {
  await tidegate.call("post", "/jobs", { body: { type: "greet", payload: { name: "" } } });
} catch (refused) {
  if (!(refused instanceof Refused)) throw refused;
  switch (refused.problem.type) {
    case "/problems/invalid-input":
      console.log("wrong:", refused.problem.errors?.map((fault) => fault.field));
      break;
    case "/problems/rate-limited":
    case "/problems/upstream-open":
      console.log("come back in", refused.problem.retry_after, "s");
      break;
    default:
      throw refused;
  }
}
