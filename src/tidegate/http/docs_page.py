"""`/docs`: the API on one page, made of its OpenAPI document. It runs no script and loads nothing from anywhere."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tidegate.http.face import place

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #c60; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; text-transform: capitalize; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; }
summary { cursor: pointer; padding: .5rem .75rem; }
summary b { display: inline-block; min-width: 4.5rem; color: var(--accent); }
details > div { padding: 0 1rem 1rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border-top: 1px solid var(--line); padding: .3rem .5rem; text-align: left; vertical-align: top; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; border-radius: 6px; }
code { font-family: ui-monospace, monospace; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

POLICY: Final = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
"""The page's own: its one style sheet is known by what is in it."""

Object = Mapping[str, Any]


def add_docs(app: FastAPI) -> None:
    """Put the page on `app`; it is no part of the document that it shows."""

    async def docs(request: Request) -> Response:
        """Show the API on a page."""
        text = page(app.openapi(), place(request, "/openapi.json"), place(request, ""))
        return Response(text, media_type="text/html", headers={"Content-Security-Policy": POLICY})

    app.router.add_route("/docs", docs, include_in_schema=False)


def page(document: Object, address: str, base: str) -> str:
    """The document as HTML; `base` is what stands before every path."""
    info = document["info"]
    tagged: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            tag = (operation.get("tags") or ["other"])[0]
            tagged.setdefault(tag, []).append("".join(_operation(method.upper(), base + path, operation)))
    parts = "".join(f"<h2>{escape(tag)}</h2>{''.join(found)}" for tag, found in tagged.items())
    schemas = document.get("components", {}).get("schemas", {})
    bodies = "".join(
        f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        f"<div>{_pre(schema)}</div></details>"
        for name, schema in sorted(schemas.items())
    )
    title = escape(f"{info['title']} {info['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><h1>{title}</h1>'
        f"<p>{escape(info.get('description', ''))}</p>"
        f'<p>The same for programs: <a href="{escape(address)}">{escape(address)}</a></p>'
        f"{parts}<h2>schemas</h2>{bodies}</body></html>"
    )


def _operation(method: str, path: str, operation: Object) -> Iterator[str]:
    summary, _, more = operation.get("description", operation.get("summary", "")).partition("\n")
    yield f"<details><summary><b>{method}</b> <code>{escape(path)}</code> {escape(summary)}</summary><div>"
    yield f"<p>{escape(more.strip())}</p>" if more.strip() else ""
    yield from _parameters(operation.get("parameters", []))
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h4>Body: <code>{escape(media_type)}</code></h4>{_shown(content.get('schema', {}))}"
        yield from map(_pre, _examples(content))
    yield f"<h4>Call it</h4><pre><code>{escape(_curl(method, path, operation))}</code></pre>"
    yield "<h4>Answers</h4><table>"
    for status, answer in sorted(operation["responses"].items()):
        schemas = "".join(_shown(content.get("schema", {})) for content in answer.get("content", {}).values())
        yield f"<tr><td>{escape(status)}</td><td>{escape(answer['description'])}</td><td>{schemas}</td></tr>"
    yield "</table></div></details>"


def _parameters(parameters: list[Object]) -> Iterator[str]:
    if parameters:
        yield "<table><tr><th>parameter</th><th>in</th><th>what</th></tr>"
        for one in parameters:
            needed = " (required)" if one.get("required") and one["in"] != "path" else ""
            what = one.get("description") or one.get("schema", {}).get("description", "")
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}{needed}</td>"
            yield f"<td>{escape(what)}</td></tr>"
        yield "</table>"


def _curl(method: str, path: str, operation: Object) -> str:
    parts = ["curl", f"-X {method}" if method != "GET" else "", f"'http://localhost:8080{path}'"]
    if any(one["name"] == "X-User-ID" for one in operation.get("parameters", [])):
        parts.append("-H 'X-User-ID: ada'")
    content = operation.get("requestBody", {}).get("content", {})
    for example in _examples(content.get("application/json", {}))[:1]:
        parts += ["-H 'Content-Type: application/json'", f"-d '{json.dumps(example)}'"]
    return " ".join(part for part in parts if part)


def _examples(content: Object) -> list[object]:
    """What the document has of them: one, or several with names."""
    named = [example["value"] for example in content.get("examples", {}).values()]
    return [content["example"]] if "example" in content else named


def _shown(schema: Object) -> str:
    """A schema: by its name where it has one."""
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>' if name else _pre(schema) if schema else ""


def _pre(value: object) -> str:
    return f"<pre><code>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</code></pre>"
