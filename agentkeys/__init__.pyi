from agentkeys.agentity import (
    AgentityClient as AgentityClient,
)
from agentkeys.agentity import (
    PasswordLogin as PasswordLogin,
)
from agentkeys.agentity import (
    TokenPair as TokenPair,
)
from agentkeys.agentity.cached_login import CachedLogin as CachedLogin
from agentkeys.agentry import AgentryClient as AgentryClient
from agentkeys.auditing import (
    Finding as Finding,
)
from agentkeys.auditing import (
    Policy as Policy,
)
from agentkeys.auditing import (
    Report as Report,
)
from agentkeys.auditing import (
    audit as audit,
)
from agentkeys.credentials import (
    BearerToken as BearerToken,
)
from agentkeys.credentials import (
    Credentials as Credentials,
)
from agentkeys.credentials import (
    StoredToken as StoredToken,
)
from agentkeys.errors import (
    AgentKeysError as AgentKeysError,
)
from agentkeys.errors import (
    APIError as APIError,
)
from agentkeys.errors import (
    AuthenticationError as AuthenticationError,
)
from agentkeys.errors import (
    BadRequestError as BadRequestError,
)
from agentkeys.errors import (
    ClientClosedError as ClientClosedError,
)
from agentkeys.errors import (
    ConfigurationError as ConfigurationError,
)
from agentkeys.errors import (
    ConflictError as ConflictError,
)
from agentkeys.errors import (
    DeadlineExceededError as DeadlineExceededError,
)
from agentkeys.errors import (
    DecodeError as DecodeError,
)
from agentkeys.errors import (
    InvalidArgumentError as InvalidArgumentError,
)
from agentkeys.errors import (
    JournalError as JournalError,
)
from agentkeys.errors import (
    ManifestError as ManifestError,
)
from agentkeys.errors import (
    NotFoundError as NotFoundError,
)
from agentkeys.errors import (
    OrphanKeyError as OrphanKeyError,
)
from agentkeys.errors import (
    PaginationError as PaginationError,
)
from agentkeys.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from agentkeys.errors import (
    ProfileError as ProfileError,
)
from agentkeys.errors import (
    RateLimitError as RateLimitError,
)
from agentkeys.errors import (
    RequestError as RequestError,
)
from agentkeys.errors import (
    RotationError as RotationError,
)
from agentkeys.errors import (
    RotationInProgressError as RotationInProgressError,
)
from agentkeys.errors import (
    ServerError as ServerError,
)
from agentkeys.errors import (
    StillInUseError as StillInUseError,
)
from agentkeys.errors import (
    StoreConflictError as StoreConflictError,
)
from agentkeys.errors import (
    StoreError as StoreError,
)
from agentkeys.errors import (
    TransportError as TransportError,
)
from agentkeys.errors import (
    UncertainCreateError as UncertainCreateError,
)
from agentkeys.errors import (
    UncertainStoreError as UncertainStoreError,
)
from agentkeys.errors import (
    UnprocessableError as UnprocessableError,
)
from agentkeys.lifecycle import (
    Announcement as Announcement,
)
from agentkeys.lifecycle import (
    Issued as Issued,
)
from agentkeys.lifecycle import (
    Known as Known,
)
from agentkeys.lifecycle import (
    Lease as Lease,
)
from agentkeys.lifecycle import (
    Rotated as Rotated,
)
from agentkeys.lifecycle import (
    Status as Status,
)
from agentkeys.lifecycle import (
    Swept as Swept,
)
from agentkeys.lifecycle import (
    abort as abort,
)
from agentkeys.lifecycle import (
    adopt as adopt,
)
from agentkeys.lifecycle import (
    announced as announced,
)
from agentkeys.lifecycle import (
    issue as issue,
)
from agentkeys.lifecycle import (
    lease as lease,
)
from agentkeys.lifecycle import (
    rotate as rotate,
)
from agentkeys.lifecycle import (
    status as status,
)
from agentkeys.lifecycle import (
    sweep as sweep,
)
from agentkeys.paging import Page as Page
from agentkeys.paging import Pager as Pager
from agentkeys.rates import RateLimit as RateLimit
from agentkeys.retry import RetryPolicy as RetryPolicy
from agentkeys.secret import Secret as Secret

__version__: str
