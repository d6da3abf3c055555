"""The meaning of errors of botocore and AWS. Their texts may hold a secret, and are not shown."""

from __future__ import annotations

import re
from typing import Any, Final

from botocore import exceptions

from agentkeys.stores.contract.remote import Forbidden, Lost

__all__ = ["meaning"]

_CODE: Final = re.compile(r"[A-Z][A-Za-z]{2,60}")
_BAD_CREDENTIALS: Final = frozenset(
    {
        *("ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "InvalidClientTokenId"),
        *("IncompleteSignatureException", "InvalidSignatureException", "SignatureDoesNotMatch"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        *("RequestExpired", "UnrecognizedClientException"),
    }
)
_PASSING: Final = frozenset(
    {
        *("InternalFailure", "InternalServiceError", "RequestTimeout", "ServiceUnavailable"),
        *("Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"),
    }
)
_NO_CREDENTIALS: Final = (
    exceptions.CredentialRetrievalError,
    exceptions.InvalidConfigError,
    exceptions.LoginError,
    exceptions.MetadataRetrievalError,
    exceptions.NoAuthTokenError,
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.UnknownCredentialError,
)


def meaning(error: Exception, which: str) -> Forbidden | Lost | str:
    """Return the meaning of an error; a str is the end of a sentence.

    Args:
        error: the exception of botocore.
        which: the options of ``aws`` that name the secret.
    """
    if isinstance(error, exceptions.ClientError):
        return _of_answer(error, which)
    kind = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        return (
            f"botocore has no credentials for AWS ({kind}): set AWS_PROFILE or another source of"
            " botocore's, or log in with aws sso login"
        )
    if isinstance(error, exceptions.ParamValidationError):
        return f"botocore rejects the request ({kind})"
    return Lost(f"no complete answer came from AWS ({kind})")


def _of_answer(error: Any, which: str) -> Forbidden | Lost | str:
    details = error.response.get("Error", {})
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    operation = error.operation_name
    found = _CODE.fullmatch(str(details.get("Code")))
    code = found[0] if found else f"status {status}"
    if code in _PASSING or status >= 500:
        return Lost(f"AWS cannot answer now ({code})")
    if code in {"AccessDenied", "AccessDeniedException"}:
        service = "sts" if operation == "GetCallerIdentity" else "secretsmanager"
        return Forbidden(
            f"the credentials do not permit {service}:{operation} or the secret's KMS key ({code})"
        )
    if code in _BAD_CREDENTIALS:
        return f"AWS rejects the credentials ({code}): renew them"
    if code == "InvalidRequestException":
        return (
            f"AWS rejects {operation} in the secret's present state: if it is scheduled for"
            f" deletion, run aws secretsmanager restore-secret {which}; if it is a replica, or"
            " belongs to another service, use another secret"
        )
    return f"AWS rejects {operation} ({code})"
