"""The command line: `tidegate serve | worker | jobs | doctor | db`. Commands load when they are called."""

import sys

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_UNKNOWN = 3
EXIT_REFUSED = 4
EXIT_UNREACHABLE = 5
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130


def main() -> None:
    """Run one command; ends the process with its exit code."""
    from tidegate.cli.commands import app

    sys.exit(run(app))


def run(app: object) -> int:
    """Call the command line, and turn what it raises into a line on stderr and an exit code."""
    from tidegate.errors import (
        ArtifactNotFound,
        ConfigError,
        EngineError,
        InvalidInput,
        JobNotFound,
        Refused,
        ResultTimeout,
        ServiceError,
        TidegateError,
    )

    assert callable(app)
    try:
        answer = app()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except TidegateError as exc:
        sys.stderr.write(f"tidegate: {exc}\n")
        match exc:
            case JobNotFound() | ArtifactNotFound():
                return EXIT_UNKNOWN
            case InvalidInput() | ConfigError():
                return EXIT_USAGE
            case Refused():
                return EXIT_REFUSED
            case EngineError() | ServiceError():
                return EXIT_UNREACHABLE
            case ResultTimeout():
                return EXIT_TIMEOUT
            case _:
                return EXIT_FAILED
    return answer if isinstance(answer, int) else 0
