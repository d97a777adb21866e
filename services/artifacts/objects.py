"""The few things that are asked of a bucket, each within a bound of time, and what goes wrong in one kind of error."""

import asyncio
import os
import re
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from services.artifacts.interface import CHUNK, GiveUp, StoreUnreachableError, StoreUnusableError, never

if TYPE_CHECKING:
    from obstore.store import ObjectStore

Result = TypeVar("Result")

REQUEST_SECONDS = 15.0
"""How long anything may take, with all its repetitions; what moves bytes has the time for them besides."""
LOOK_SECONDS = 0.25
"""Between two looks whether it is still wanted."""
SLOWEST = 1e6
"""Bytes per second that a store must take or give at least."""
RETRIES = 4
RETRY_SECONDS = 6.0
CONNECT_SECONDS = 3.0
MOST_NAMES = 100_000
"""Most names that one listing looks at."""
ERROR_LENGTH = 300
SECRET_FILES = {
    "AWS_ACCESS_KEY_ID_FILE": "access_key_id",
    "AWS_SECRET_ACCESS_KEY_FILE": "secret_access_key",
    "AWS_SESSION_TOKEN_FILE": "session_token",
    "AZURE_STORAGE_ACCOUNT_KEY_FILE": "account_key",
}
"""Variables that name a file with a credential, as container secrets are handed over, and what obstore calls it."""
HTTP_ALLOWED = ("AWS_ALLOW_HTTP", "GOOGLE_ALLOW_HTTP", "AZURE_ALLOW_HTTP")


def opened(url: str) -> "ObjectStore":
    """A client of the bucket; credentials, region and endpoint come from the variables of its cloud.

    Raises:
        StoreUnusableError: the package is missing, or the variables are not enough.
    """
    try:
        from obstore.exceptions import BaseError  # noqa: PLC0415 - an extra that a folder does not need
        from obstore.store import from_url  # noqa: PLC0415
    except ImportError as error:
        message = (
            f"FIRSTLIGHT_ARTIFACTS_URL={url} needs the package obstore: pip install 'firstlight[objects]', "
            "or name a folder that all hosts share"
        )
        raise StoreUnusableError(message) from error
    allow_http = any(os.environ.get(name, "").lower() in ("true", "1") for name in HTTP_ALLOWED)
    try:
        return from_url(
            url,
            # Bytes are bounded here, by their number; the client's own limit would be for a body of any size.
            client_options={"timeout": "1h", "connect_timeout": f"{CONNECT_SECONDS:g}s", "allow_http": allow_http},
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": timedelta(seconds=RETRY_SECONDS),
                "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
            },
            **_credentials(urlsplit(url).scheme),
        )
    except (BaseError, ValueError) as error:
        raise StoreUnusableError(f"FIRSTLIGHT_ARTIFACTS_URL={url} cannot be used: {_plain(error)}") from None


def _credentials(scheme: str) -> dict[str, Any]:
    prefix = {"s3": "AWS_", "az": "AZURE_"}.get(scheme)
    values: dict[str, Any] = {}
    for name, option in SECRET_FILES.items():
        if prefix is not None and name.startswith(prefix) and (path := os.environ.get(name)):
            try:
                values[option] = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                message = f"{name} names {path!r}, which cannot be read ({error}); name a text file"
                raise StoreUnusableError(message) from None
    return values


class Objects:
    """A bucket, or what lies below a prefix of it. Safe to use from several threads, none of which runs a loop."""

    def __init__(self, url: str, store: "ObjectStore | None" = None) -> None:
        self.url = url
        self._store = store or opened(url)

    def put(self, name: str, source: Path, give_up: GiveUp = never) -> None:
        """Store a file whole and look whether all of it is there.

        Raises:
            StoreUnreachableError: that is not certain.
            OSError: the file cannot be read.
        """
        from obstore import head_async, put_async  # noqa: PLC0415

        size = source.stat().st_size

        async def work() -> int:
            await put_async(self._store, name, source)
            return (await head_async(self._store, name))["size"]

        stored = self._run(work, f"put {name}", REQUEST_SECONDS + size / SLOWEST, give_up)
        if stored != size:
            raise StoreUnreachableError(f"{self.url}: {name} has {stored} bytes there and {size} here")

    def put_new(self, name: str, content: bytes) -> bool:
        """Store a few bytes unless the name is taken; says whether they were stored.

        Raises:
            StoreUnreachableError: nothing is known.
        """
        from obstore import put_async  # noqa: PLC0415
        from obstore.exceptions import AlreadyExistsError, PreconditionError  # noqa: PLC0415

        async def work() -> bool:
            try:
                await put_async(self._store, name, content, mode="create")
            except (AlreadyExistsError, PreconditionError):
                return False
            return True

        return self._run(work, f"put {name}", REQUEST_SECONDS)

    def overwrite(self, name: str, content: bytes, seconds: float) -> None:
        """Store a few bytes.

        Raises:
            StoreUnreachableError: they are not stored, or not within these seconds.
        """
        from obstore import put_async  # noqa: PLC0415

        async def work() -> None:
            await put_async(self._store, name, content)

        self._run(work, f"put {name}", seconds)

    def read(self, name: str, seconds: float = REQUEST_SECONDS) -> bytes | None:
        """The content of a small object; None where there is none.

        Raises:
            StoreUnreachableError: nothing is known.
        """
        from obstore import get_async  # noqa: PLC0415

        async def work() -> bytes | None:
            try:
                return bytes(await (await get_async(self._store, name)).bytes_async())
            except FileNotFoundError:
                return None

        return self._run(work, f"get {name}", seconds)

    def fetch(self, name: str, file: IO[bytes], give_up: GiveUp = never) -> bool:
        """Write the content of an object into a file; says whether there is one.

        Raises:
            StoreUnreachableError: it did not come, or not whole.
            OSError: the file cannot be written.
        """
        from obstore import get_async  # noqa: PLC0415

        async def work() -> bool:
            async with asyncio.timeout(REQUEST_SECONDS) as limit:
                try:
                    answer = await get_async(self._store, name)
                except FileNotFoundError:
                    return False
                size, came = answer.meta["size"], 0
                limit.reschedule(asyncio.get_running_loop().time() + REQUEST_SECONDS + size / SLOWEST)
                async for chunk in answer.stream(min_chunk_size=CHUNK):
                    came += file.write(chunk)
            if came != size:
                raise StoreUnreachableError(f"{self.url}: of {name} came {came} bytes instead of {size}")
            return True

        return self._run(work, f"get {name}", None, give_up)

    def holds(self, name: str) -> bool:
        """Whether there is such an object.

        Raises:
            StoreUnreachableError: nothing is known.
        """
        from obstore import head_async  # noqa: PLC0415

        async def work() -> bool:
            try:
                await head_async(self._store, name)
            except FileNotFoundError:
                return False
            return True

        return self._run(work, f"head {name}", REQUEST_SECONDS)

    def folders(self, parent: str) -> list[str]:
        """The first parts of all names below ``parent/``.

        Raises:
            StoreUnreachableError: nothing is known.
        """
        from obstore import list_with_delimiter_async  # noqa: PLC0415

        async def work() -> list[str]:
            listed = await list_with_delimiter_async(self._store, parent)
            return sorted(path.rpartition("/")[2] for path in listed["common_prefixes"])

        return self._run(work, f"list {parent}", REQUEST_SECONDS)

    def names(self, folder: str) -> dict[str, datetime]:
        """All names below ``folder/`` and when each was stored; of very many some.

        Raises:
            StoreUnreachableError: nothing is known.
        """
        from obstore import list as list_objects  # noqa: PLC0415

        async def work() -> dict[str, datetime]:
            names: dict[str, datetime] = {}
            async for page in list_objects(self._store, folder):
                names.update((item["path"], item["last_modified"].astimezone(UTC)) for item in page)
                if len(names) >= MOST_NAMES:
                    break
            return names

        return self._run(work, f"list {folder}", REQUEST_SECONDS)

    def delete(self, names: list[str]) -> None:
        """Delete objects; those that are gone are no matter.

        Raises:
            StoreUnreachableError: some may be left.
        """
        from obstore import delete_async  # noqa: PLC0415

        async def work() -> None:
            try:
                await delete_async(self._store, names)
            except FileNotFoundError:
                for name in names:  # a store that complains at the first that is gone
                    try:
                        await delete_async(self._store, name)
                    except FileNotFoundError:
                        continue

        if names:
            self._run(work, f"delete {len(names)} objects", REQUEST_SECONDS)

    def _run(
        self, work: Callable[[], Coroutine[Any, Any, Result]], what: str, seconds: float | None, give_up: GiveUp = never
    ) -> Result:
        """Do it; what the bucket says is told in one short line.

        Raises:
            StoreUnreachableError: it could not be done in this time, or was given up.
        """
        from obstore.exceptions import BaseError  # noqa: PLC0415

        async def bounded() -> Result:
            async with asyncio.timeout(seconds):
                task = asyncio.create_task(work())
                try:
                    while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
                        if give_up():
                            raise StoreUnreachableError(f"{self.url}: {what} was given up")
                    return await task
                finally:
                    task.cancel()

        try:
            return asyncio.run(bounded())
        except TimeoutError:
            raise StoreUnreachableError(f"{self.url} does not answer in time: {what}") from None
        except (BaseError, FileNotFoundError) as error:
            if isinstance(error, FileNotFoundError) and error.errno is not None:
                raise  # of this host
            raise StoreUnreachableError(f"{self.url}: {what}: {_plain(error)}") from None


def _plain(error: Exception) -> str:
    """What went wrong, without what a store repeats of the request, such as its signature."""
    text = str(error).partition("\n\nDebug source")[0]
    code = re.search(r"<Code>([A-Za-z0-9]{1,60})</Code>", text)
    text = " ".join(text.partition("<")[0].split())[:ERROR_LENGTH].rstrip(": ")
    return f"{text}: {code.group(1)}" if code else text
