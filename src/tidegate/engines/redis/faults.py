"""The server's errors as Tidegate's."""

from tidegate.errors import ConfigError, EngineError, EngineUnavailable, SchemaMismatch, TidegateError


class ScriptUnknown(EngineError):
    """The server does not know that script (any more): send its text."""


class ReplicaMet(EngineUnavailable):
    """What answers is a replica: the primary is elsewhere, or not chosen yet."""


def fault(message: str) -> TidegateError:
    """What an error reply means to a caller; the server's own words follow, which hold no value of ours."""
    code = message.partition(" ")[0]
    match code:
        case "NOSCRIPT":
            return ScriptUnknown(message)
        case "OOM":
            return EngineUnavailable("the store's memory is full: raise its maxmemory")
        case "NOAUTH":
            return ConfigError("the store wants a password: write redis://:PASSWORD@host or redis://user:PASSWORD@host")
        case "WRONGPASS":
            return ConfigError("the store refused the user or password in the engine's URL")
        case "NOPERM":
            return ConfigError(f"the store's user lacks a right that the engine needs ({message[:200]})")
        case "NOPROTO":
            return ConfigError("the store is too old: Redis 6.2, Valkey 7.2 or newer is needed")
        case "MOVED" | "ASK" | "CROSSSLOT":
            return ConfigError("this node of a cluster does not hold the namespace: name the one that does")
        case "WRONGTYPE":
            return SchemaMismatch(f"the store is damaged, or written by a newer release ({message[:200]})")
        case _ if "DB index is out of range" in message:
            return ConfigError(f"there is no database of the number in the engine's URL ({message[:200]})")
        case _ if "ACL failure" in message or "user executing the script" in message:
            return ConfigError(f"the store's user lacks a right that the engine needs ({message[:200]})")
        case _ if "WRONGTYPE" in message:
            return SchemaMismatch(f"the store is damaged, or written by a newer release ({message[:200]})")
        case _ if "OOM command not allowed" in message:
            return EngineUnavailable("the store's memory is full: raise its maxmemory")
        case _:
            return EngineUnavailable(f"the store answered: {message[:200]}")
