"""`POST /operator/revocations`: revocation of every kind, for those who run the service. Ours; in no metadata."""

from starlette.requests import Request
from starlette.responses import Response

from tokensvc.errors import OAuthError, OAuthRefused, Reason
from tokensvc.exchange.operate import OperatorService, Revoked
from tokensvc.exchange.parties import Operator
from tokensvc.exchange.request import Form, require_single
from tokensvc.server.answer import uncached_json
from tokensvc.server.client_auth import Admitted, Door
from tokensvc.server.routes import Endpoint

__all__ = ["operator_revocations_endpoint"]


def operator_revocations_endpoint(door: Door, operation: OperatorService) -> Endpoint:
    """The endpoint that revokes `id`, a thing of that `kind`, and says from when on what is alive again."""

    async def revoke(request: Request) -> Response:
        admitted = await door.admit(request)
        try:
            revoked = await _revoke(admitted, operation)
        except OAuthRefused as refusal:
            raise await operation.refused(refusal, client_id=admitted.client.client_id) from refusal
        return uncached_json(
            {"kind": revoked.kind, "id": revoked.id, "not_before": revoked.not_before, "record": revoked.record}
        )

    return revoke


async def _revoke(admitted: Admitted, operation: OperatorService) -> Revoked:
    if not isinstance(admitted.client, Operator):
        raise OAuthRefused(OAuthError.UNAUTHORIZED_CLIENT, None, "this client is no operator")
    require_single(admitted.form, repeatable=frozenset())
    kind, name = _required(admitted.form, "kind"), _required(admitted.form, "id")
    return await operation.revoke(kind, name, operator=admitted.client.client_id)


def _required(form: Form, name: str) -> str:
    (value,) = form.get(name, (None,))
    if value is None:
        raise OAuthRefused(OAuthError.INVALID_REQUEST, Reason.PARAMETER_MISSING, f"the parameter {name} is required")
    return value
