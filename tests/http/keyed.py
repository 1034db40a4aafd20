"""An API that wants a key: the administrators' own, and keys made with it."""

import httpx2
from pydantic import SecretStr

from tidegate.config import Settings
from tidegate.core.access import Role

ADMIN = {"Authorization": "Bearer an-administrators-own-key"}


def guarded(settings: Settings) -> Settings:
    """These settings, with an administrators' key."""
    return settings.model_copy(update={"admin_key": SecretStr(ADMIN["Authorization"].removeprefix("Bearer "))})


async def key(api: httpx2.AsyncClient, role: Role, user_id: str | None = None, **more: object) -> dict[str, str]:
    """The header of a new key."""
    body = {"name": f"{role} {user_id}", "role": role, "user_id": user_id, **more}
    made = await api.post("/keys", json=body, headers=ADMIN)
    assert made.status_code == 201, made.text
    return {"Authorization": f"Bearer {made.json()['key']}"}
