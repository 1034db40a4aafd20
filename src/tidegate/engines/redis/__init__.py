"""The engine on Redis or Valkey: verbs as Lua scripts, each one atomic step over one slot."""
