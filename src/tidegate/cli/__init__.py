"""The command line: `tidegate serve | worker | jobs | doctor | db`. Commands load when they are called."""

import sys

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_REFUSED = 4
EXIT_UNREACHABLE = 5
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130

EXTRAS = {
    "fastapi": "server",
    "starlette": "server",
    "uvicorn": "server",
    "httptools": "server",
    "python_multipart": "server",
    "prometheus_client": "server",
    "sentry_sdk": "sentry",
}
"""What an optional part of Tidegate needs, and the extra that brings it."""


def main() -> None:
    """Run one command; ends the process with its exit code."""
    from tidegate.cli.commands import app

    sys.exit(run(app))


def run(app: object) -> int:
    """Call the command line, and turn what it raises into a line on stderr and an exit code."""
    from tidegate.errors import TidegateError

    assert callable(app)
    try:
        answer = app()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as exc:
        extra = EXTRAS.get(exc.name or "")
        if extra is None:
            raise
        sys.stderr.write(f"tidegate: this needs {exc.name}: install Tidegate with its extra `{extra}`\n")
        return EXIT_USAGE
    except TidegateError as exc:
        sys.stderr.write(f"tidegate: {exc}\n")
        return _code(exc)
    return answer if isinstance(answer, int) else 0


def _code(exc: Exception) -> int:
    from tidegate import errors

    match exc:
        case errors.JobNotFound() | errors.ArtifactNotFound():
            return EXIT_UNKNOWN
        case errors.InvalidInput() | errors.ConfigError():
            return EXIT_USAGE
        case errors.Refused():
            return EXIT_REFUSED
        case errors.EngineError() | errors.ServiceError():
            return EXIT_UNREACHABLE
        case errors.ResultTimeout():
            return EXIT_TIMEOUT
        case _:
            return EXIT_FAILED
