// tidegate.ts: every call of the HTTP API, typed by its OpenAPI document.
import type { paths, Problem } from "./schema.d.ts";

type Method = "get" | "put" | "post" | "patch" | "delete";
type Verbs<Path extends keyof paths> = keyof paths[Path] & {
  [verb in Method]: paths[Path] extends { [one in verb]: object } ? verb : never;
}[Method];
type Content<Part, Media extends string> = Part extends { content: Record<Media, infer Body> } ? Body : never;
type Responses<Operation> = Operation extends { responses: infer All } ? All[keyof All & (200 | 201 | 202)] : never;
type Sent<Operation> = Operation extends { requestBody: infer Body } ? Content<Body, "application/json"> : never;
type Named<Operation, Place extends string> =
  Operation extends { parameters: { [place in Place]?: infer Values } } ? Exclude<Values, undefined> : never;
type Part<Name extends string, Values> = [Values] extends [never] ? unknown : { [name in Name]: Values };

/** What an operation is asked with: its body and the parameters of its path are required where it has any. */
export type Asked<Operation> = Part<"body", Sent<Operation>> &
  Part<"path", Named<Operation, "path">> & { query?: Named<Operation, "query">; headers?: Record<string, string> };

/** What an operation answers where it does not refuse. */
export type Answer<Operation> = Content<Responses<Operation>, "application/json">;

/** A refusal. Its problem's `type` says which one. */
export class Refused extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail);
    this.problem = problem;
  }
}

/** A server, and who asks. */
export class Tidegate {
  readonly #server: string;
  readonly #headers: Record<string, string>;

  constructor(server: string, headers: Record<string, string>) {
    this.#server = server;
    this.#headers = headers;
  }

  /** Call one operation; throws `Refused`. */
  async call<Path extends keyof paths, Verb extends Verbs<Path>>(
    method: Verb,
    path: Path,
    asked: Asked<paths[Path][Verb]>,
  ): Promise<Answer<paths[Path][Verb]>> {
    const { body, path: places, query, headers } = asked as Record<string, Record<string, string> | undefined>;
    const place = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(places?.[name] ?? ""));
    const given = Object.entries(query ?? {}).filter(([, value]) => value !== null && value !== undefined);
    const told = await fetch(`${this.#server}${place}?${new URLSearchParams(given)}`, {
      method: method.toUpperCase(),
      headers: { ...this.#headers, ...(body && { "Content-Type": "application/json" }), ...headers },
      body: body ? JSON.stringify(body) : null,
    });
    if (told.headers.get("Content-Type") === "application/problem+json") throw new Refused(await told.json());
    if (!told.ok) throw new Error(`${method} ${place}: ${told.status} ${told.statusText}`); // from something between us
    return told.status === 204 ? (undefined as never) : told.json();
  }
}
