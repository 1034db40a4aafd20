"""A verb's script holds what the verb uses of the shared files, and nothing more."""

from tidegate.engines.redis.linking import linked

SHARED = """
-- a comment that names unused
local ONE, TWO = 1, 2 -- numbers
local state, unused = {}, {}
local function inner(x) -- of outer
  return x + TWO
end

local function outer(x) return inner(x) .. 'TWO ' .. state end

local function lonely() return unused end
"""


def test_only_what_is_used_is_kept() -> None:
    text = linked(SHARED, "return inner(ONE)\n")
    assert text == "local function inner(x)\nreturn x + 2\nend\nreturn inner(1)\n"


def test_what_is_used_by_what_is_used_is_kept_in_its_order() -> None:
    text = linked(SHARED, "return outer(1)")
    assert [line.partition("(")[0] for line in text.splitlines() if line.startswith("local")] == [
        "local state, unused = {}, {}",
        "local function inner",
        "local function outer",
    ]


def test_numbers_are_written_out_but_not_in_texts() -> None:
    assert "inner(x) .. 'TWO '" in linked(SHARED, "return outer(TWO)")
    assert linked(SHARED, "return outer(TWO)").endswith("return outer(2)\n")


def test_comments_are_left_out_and_name_nothing() -> None:
    assert linked(SHARED, "-- lonely\nreturn 'a -- b' -- lonely\n") == "return 'a -- b'\n"
