"""A small S3 server on loopback: objects, conditional puts, parts, listings and deletions, as AWS documents them.

It checks what it can of a request (bucket, access key, the digest of the body) and can be made to fail or to go away.
"""

import hashlib
import re
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

ACCESS_KEY = "firstlight-of-the-tests"
SECRET_KEY = "the-secret-of-the-bucket"
BUCKET = "lab"
EMPTY = hashlib.sha256(b"").hexdigest()


@dataclass
class S3Server:
    """One bucket.

    `failing` are the methods that are answered with `status` for now; `asked` counts all requests; of a new object only
    the first `keep` bytes are kept, where that is set.
    """

    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    status: int = 503
    keep: int | None = None
    asked: dict[str, int] = field(default_factory=dict)
    parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    port: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)
    server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        """Answer, again on the same port."""
        self.server = _Server(("127.0.0.1", self.port), type("Handler", (_Handler,), {"bucket": self}))
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Refuse connections."""
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to use it."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
        }

    def names(self, part: str = "") -> list[str]:
        """The names of the objects that have this in them."""
        with self.lock:
            return sorted(name for name in self.objects if part in name)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    bucket: S3Server
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815 - as the base class calls them

    def _answer(self) -> None:
        body = self._body()
        if self.bucket.server is None:  # a connection from before
            self.close_connection = True
            return None
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        _, _, rest = url.path.partition("/")
        bucket, _, key = unquote(rest).partition("/")
        with self.bucket.lock:
            self.bucket.asked[self.command] = self.bucket.asked.get(self.command, 0) + 1
            if self.command in self.bucket.failing:
                return self._error(self.bucket.status, "Failing", f"with {self.headers.get('Authorization')}")
            if f"Credential={ACCESS_KEY}/" not in self.headers.get("Authorization", ""):
                return self._error(403, "InvalidAccessKeyId", self.headers.get("Authorization", ""))
            if self.headers.get("x-amz-content-sha256", EMPTY) not in (
                hashlib.sha256(body).hexdigest(),
                "UNSIGNED-PAYLOAD",
            ):
                return self._error(400, "XAmzContentSHA256Mismatch")
            if bucket != BUCKET:
                return self._error(404, "NoSuchBucket")
            return getattr(self, f"_{self.command.lower()}")(key, query, body)

    def _get(self, key: str, query: Mapping[str, str], _body: bytes) -> None:
        if not key:
            return self._list(query)
        if key not in self.bucket.objects:
            return self._error(404, "NoSuchKey")
        content, stored = self.bucket.objects[key]
        return self._send(200, content, {"Last-Modified": format_datetime(stored, usegmt=True), "ETag": _etag(content)})

    _head = _get

    def _put(self, key: str, query: Mapping[str, str], body: bytes) -> None:
        if "partNumber" in query:
            self.bucket.parts[query["uploadId"]][int(query["partNumber"])] = body
        elif self.headers.get("If-None-Match") == "*" and key in self.bucket.objects:
            return self._error(412, "PreconditionFailed")
        else:
            self.bucket.objects[key] = (body[: self.bucket.keep], datetime.now(UTC))
        return self._send(200, b"", {"ETag": _etag(body)})

    def _post(self, key: str, query: Mapping[str, str], body: bytes) -> None:
        if "delete" in query:
            for name in re.findall(r"<Key>(.*?)</Key>", body.decode()):
                self.bucket.objects.pop(name, None)
            return self._xml("<DeleteResult></DeleteResult>")
        if "uploads" in query:
            number = str(len(self.bucket.parts))
            self.bucket.parts[number] = {}
            answer = f"<UploadId>{number}</UploadId><Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key>"
            return self._xml(f"<InitiateMultipartUploadResult>{answer}</InitiateMultipartUploadResult>")
        parts = self.bucket.parts.pop(query["uploadId"])
        content = b"".join(parts[number] for number in sorted(parts))
        self.bucket.objects[key] = (content, datetime.now(UTC))
        answer = f"<Bucket>{BUCKET}</Bucket><Key>{escape(key)}</Key><ETag>{_etag(content)}</ETag>"
        return self._xml(f"<CompleteMultipartUploadResult>{answer}</CompleteMultipartUploadResult>")

    def _delete(self, key: str, query: Mapping[str, str], _body: bytes) -> None:
        if "uploadId" in query:
            self.bucket.parts.pop(query["uploadId"], None)
        else:
            self.bucket.objects.pop(key, None)
        self._send(204, b"")

    def _list(self, query: Mapping[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        folders, items = set[str](), []
        for name, (content, stored) in sorted(self.bucket.objects.items()):
            if not name.startswith(prefix):
                continue
            head, separator, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if separator:
                folders.add(f"{prefix}{head}{delimiter}")
                continue
            facts = f"<Key>{escape(name)}</Key><Size>{len(content)}</Size><ETag>{_etag(content)}</ETag>"
            items.append(f"<Contents>{facts}<LastModified>{stored:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>")
        shared = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        facts = f"<Name>{BUCKET}</Name><IsTruncated>false</IsTruncated><KeyCount>{len(items)}</KeyCount>"
        self._xml(f"<ListBucketResult>{facts}{''.join(items)}{shared}</ListBucketResult>")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _error(self, status: int, code: str, message: str = "") -> None:
        self._send(status, f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode())

    def _xml(self, text: str) -> None:
        self._send(200, text.encode(), {"Content-Type": "application/xml"})

    def _send(self, status: int, content: bytes, fields: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(fields or {}), "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


@contextmanager
def s3_running() -> Generator[S3Server]:
    """A server with an empty bucket."""
    server = S3Server()
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """The same for one test, and for the processes that it starts."""
    with s3_running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server
