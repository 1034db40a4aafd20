"""What ids are made of: they increase, never recur, and a forked process has its own."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from tidegate.clock import new_id_parts
from tidegate.core.ids import uuid7

FORK = """
import json, os
from tidegate.clock import new_id_parts
new_id_parts()
reader, writer = os.pipe()
child = os.fork()
chances = [new_id_parts()[1][2:].hex() for _ in range(50)]
if not child:
    os.write(writer, json.dumps(chances).encode())
    os._exit(0)
os.waitpid(child, 0)
print(json.dumps([chances, json.loads(os.read(reader, 65536))]))
"""


def test_ids_made_in_a_row_are_different_and_in_order() -> None:
    ids = [uuid7(*new_id_parts()) for _ in range(20_000)]
    assert ids == sorted(set(ids))


def test_threads_never_make_the_same_id() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = threads.map(lambda _: [uuid7(*new_id_parts()) for _ in range(2_000)], range(4))
        ids = [job_id for batch in made for job_id in batch]
    assert len(set(ids)) == len(ids)


def test_no_chance_is_used_twice() -> None:
    chances = [new_id_parts()[1][2:] for _ in range(2_000)]
    assert {len(chance) for chance in chances} == {8}
    assert len(set(chances)) == len(chances)


def test_a_forked_process_does_not_go_on_with_its_parents_chance() -> None:
    done = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, check=True, timeout=60)
    parents, childs = json.loads(done.stdout)
    assert (len(parents), len(childs)) == (50, 50)
    assert not set(parents) & set(childs)
