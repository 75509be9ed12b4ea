"""What schemathesis has to be told of this API beside its document. schemathesis.toml names this file."""

import schemathesis
from schemathesis import GenerationMode


@schemathesis.serializer("application/x-ndjson", "application/vnd.c2sp.entry-bundle")
def as_it_is(ctx, value):
    """What is not text has no form here, and becomes a body that is refused: an empty one."""
    if isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else b""


# Where the document cannot say all that a request has to be: one of two parameters, fields that go with others, a text
# or bytes with a format of their own.
BEYOND_THE_DOCUMENT = {
    ("GET", "/logs/{log}/v1/proofs/inclusion"),
    ("POST", "/logs/{log}/v1/batches"),
    ("POST", "/v1/logs/{log}/keys"),
    ("POST", "/v1/logs/{log}/policy"),
}


@schemathesis.check
def well_formed(ctx, response, case):
    """What follows the document is never refused as malformed."""
    if response.status_code != 400 or case.meta is None:
        return
    if case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    if (case.operation.method.upper(), case.operation.path) in BEYOND_THE_DOCUMENT:
        return
    problem = response.json()
    assert problem["code"] != "malformed", f"refused as malformed: {problem['detail']}"
