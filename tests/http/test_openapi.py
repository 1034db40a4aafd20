"""The OpenAPI document tells the truth: whatever it allows is answered as it says, whatever it forbids is refused."""

import schemathesis
from hypothesis import settings as hypothesis_settings
from schemathesis import Case

from tests.http.handlers import application
from tidegate.config import load
from tidegate.http.app import create_app

APP = create_app(
    application(load(engine="memory://", artifacts="memory://", limit_user_per_hour=0, limit_ip_per_minute=0)),
    worker=False,
)
CONTRACT = schemathesis.openapi.from_dict(APP.openapi())
CONTRACT.app = APP


@CONTRACT.parametrize()
@hypothesis_settings(max_examples=20)
def test_every_operation_keeps_to_its_document(case: Case) -> None:
    case.call_and_validate()
