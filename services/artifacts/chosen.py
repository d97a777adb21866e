"""The store that the settings name."""

from services.artifacts.bucket import BucketArtifacts
from services.artifacts.folder import FolderArtifacts
from services.artifacts.interface import Artifacts
from services.artifacts.objects import Objects
from services.settings import Settings


def artifacts_of(settings: Settings) -> Artifacts:
    """The store of these settings; nothing is asked of it yet.

    Raises:
        StoreUnusableError: it can never work, for want of a package or of variables.
    """
    if settings.bucket_url is None:
        return FolderArtifacts(settings.artifacts_folder)
    return BucketArtifacts(Objects(settings.bucket_url), settings.home / "scratch")
