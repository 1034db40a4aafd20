"""What `warm_up` is for: a process that runs out of file descriptors later."""

import subprocess
import sys

_SCRIPT = """
import asyncio, resource
from contextlib import suppress
from obstore.store import MemoryStore
from tidegate.artifacts import warm_up

async def main():
    await warm_up()
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    with suppress(OSError):
        open("/dev/null")
        raise SystemExit("the limit has no effect")
    await MemoryStore().put_async("path", b"body")
    print("stored")

asyncio.run(main())
"""


def test_a_process_without_a_free_descriptor_still_stores_once_it_is_warm() -> None:
    ended = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "stored\n"), ended.stderr
