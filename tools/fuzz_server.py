"""`python -m tools.fuzz_server serve`: the service with streams that end in an instant, so that all of them is seen."""

from tidegate.cli import main
from tidegate.http.live import streams

if __name__ == "__main__":
    vars(streams)["LONGEST"] = 0.2
    main()
