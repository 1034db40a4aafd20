"""`python -m tests.http.service`: the tests' application as a process of its own, set up by its environment."""

import uvloop

from tests.http.handlers import application
from tidegate.config import load
from tidegate.http.server import serve
from tidegate.wiring import observe

if __name__ == "__main__":
    settings = load()
    app = application(settings)
    uvloop.run(serve(app.configured(settings, observe(settings)), settings))
