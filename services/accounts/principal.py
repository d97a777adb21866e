"""Who asks: the key of a request, what it may do, and in which workspace."""

from dataclasses import dataclass

from services.db.tables import DEFAULT_WORKSPACE, SCOPES, Scope


@dataclass(frozen=True)
class Principal:
    """Whoever sent a request.

    Attributes:
        key_id: the public id of the key; empty where none was asked for.
        scope: what the key may do; None is nothing.
        workspace: the id of the workspace that it opens; an empty one holds nothing.
    """

    key_id: str
    scope: Scope | None
    workspace: str

    def may(self, scope: Scope) -> bool:
        """Whether the key's scope is this one or contains it."""
        return self.scope is not None and SCOPES.index(self.scope) >= SCOPES.index(scope)

    @property
    def of_the_service(self) -> bool:
        """A key of the default workspace, the one that the service started with."""
        return self.workspace == DEFAULT_WORKSPACE

    @property
    def runs_the_service(self) -> bool:
        """An admin of the default workspace: may make workspaces, and keys for each of them."""
        return self.may("admin") and self.of_the_service


ANYBODY = Principal("", None, "")
"""Who asks for what needs no key."""
OWNER = Principal("", "admin", DEFAULT_WORKSPACE)
"""Who asks a service without keys: a program of this machine, which may do everything."""
