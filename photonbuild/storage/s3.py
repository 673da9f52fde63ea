"""Files in S3-compatible storage, by botocore: address, region and credentials as AWS's own tools take them
(AWS_ENDPOINT_URL, AWS_PROFILE, ~/.aws, the machine's role).

Of one object at a time the storage shows the old content or the new one. The index and repomd.xml.asc are two: for the
time of one request they do not belong together. The signature under a name of its own is there before its index.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from photonbuild.errors import StoreError
from photonbuild.files import sha256_of
from photonbuild.storage.interface import LOCK
from photonbuild.storage.lease import Keeper, held

AT_ONCE = 8
LARGEST = 5 << 30  # bytes of one request
DIGEST = "sha256"  # of an object's content, in its user-defined metadata
TYPES = {".xml": "application/xml", ".gz": "application/gzip", ".asc": "text/plain", ".rpm": "application/x-rpm"}
MISSING = ("404", "NoSuchKey", "NotFound")
TAKEN = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
T = TypeVar("T")


@dataclass(kw_only=True)
class S3:
    """Objects of `bucket` below `prefix`."""

    client: Any
    bucket: str
    prefix: str
    keeper: Keeper | None = field(default=None, repr=False)

    @classmethod
    def at(cls, *, bucket: str, prefix: str, connect: float = 20.0, silent: float = 120.0, attempts: int = 5) -> S3:
        """Raises StoreError where there is no such bucket, or no access to it.

        `connect`, `silent`: seconds that the storage may take to answer, and say nothing.
        """
        import botocore.config
        import botocore.session
        from botocore.exceptions import BotoCoreError

        settings = botocore.config.Config(
            connect_timeout=connect,
            read_timeout=silent,
            retries={"mode": "standard", "max_attempts": attempts},
            s3={"addressing_style": "path"},
            max_pool_connections=AT_ONCE + 2,
        )
        try:
            client = botocore.session.get_session().create_client("s3", config=settings)
        except (BotoCoreError, ValueError) as error:
            raise StoreError(
                f"cannot use the storage: {error}",
                where=f"s3://{bucket}",
                hint="AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, or a profile in ~/.aws",
            ) from None
        storage = cls(client=client, bucket=bucket, prefix=prefix)
        storage._call("head_bucket")
        return storage

    @property
    def where(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def read(self, path: str, most: int | None = None) -> bytes | None:
        found = self._find("get_object", path)
        if found is None:
            return None
        from botocore.exceptions import BotoCoreError

        try:
            data: bytes = found["Body"].read(most)
        except BotoCoreError as error:
            raise StoreError(f"the storage breaks off: {error}", where=f"{self.where}/{path}") from None
        return data

    def get(self, path: str, target: Path, size: int | None = None) -> bool:
        """With a `size`, no more than the beginning of a file of another one."""
        found = self._find("get_object", path)
        if found is None:
            return False
        if size is not None and found["ContentLength"] != size:
            target.write_bytes(b"")
            return True
        from botocore.exceptions import BotoCoreError

        try:
            with target.open("wb") as handle:
                for chunk in found["Body"].iter_chunks(1 << 20):
                    handle.write(chunk)
        except BotoCoreError as error:
            raise StoreError(f"the storage breaks off: {error}", where=f"{self.where}/{path}") from None
        return True

    def has(self, path: str) -> bool:
        """Is there an object of this path?"""
        return self._find("head_object", path) is not None

    def times(self, prefix: str) -> Mapping[str, tuple[int, float]]:
        """The files below a folder, each with its size and when it was written, in seconds since 1970."""
        return {key: (entry["Size"], entry["LastModified"].timestamp()) for key, entry in self._list(prefix)}

    def put_file(self, source: Path, path: str) -> None:
        """Bring a file there, over what is there."""
        with source.open("rb") as handle:
            self._put(path, handle, sha256_of(source))

    def sizes(self, prefix: str) -> Mapping[str, int]:
        return {key: entry["Size"] for key, entry in self._list(prefix)}

    def _list(self, prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        words: dict[str, Any] = {"Prefix": self._key(f"{prefix}/" if prefix else "")}
        while True:
            page = self._call("list_objects_v2", **words)
            for entry in page.get("Contents", ()):
                yield entry["Key"][len(self._key("")) :], entry
            if not page.get("IsTruncated"):
                return
            words["ContinuationToken"] = page["NextContinuationToken"]

    def digests(self, paths: Collection[str]) -> Mapping[str, str]:
        def digest(path: str) -> str | None:
            found = self._find("head_object", path)
            return found["Metadata"].get(DIGEST) if found else None

        return {path: text for path, text in zip(paths, _each(digest, paths), strict=True) if text}

    def put(self, tree: Path, paths: Iterable[str]) -> None:
        def send(path: str) -> None:
            source = tree / path
            if source.stat().st_size > LARGEST:
                raise StoreError("it is too large for one request", where=str(source))
            with source.open("rb") as handle:
                self._put(path, handle, sha256_of(source))

        list(_each(send, list(paths)))

    def copy(self, pairs: Mapping[str, str]) -> None:
        def make(pair: tuple[str, str]) -> None:
            new, old = pair
            self._call("copy_object", Key=self._key(new), CopySource={"Bucket": self.bucket, "Key": self._key(old)})

        list(_each(make, list(pairs.items())))

    def write(self, path: str, data: bytes) -> None:
        self._put(path, data, hashlib.sha256(data).hexdigest())

    def replace(self, files: Mapping[str, bytes]) -> None:
        assert self.keeper is not None, "only under the lock"
        self.keeper.confirm()
        for path, data in files.items():
            self.write(path, data)

    def remove(self, paths: Collection[str]) -> None:
        list(_each(lambda path: self._call("delete_object", Key=self._key(path)), paths))

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        with held(self, self.where) as self.keeper:
            try:
                yield
            finally:
                self.keeper = None

    def read_lease(self) -> tuple[str, bytes] | None:
        """The version of the lock object, and who it says has it."""
        found = self._find("get_object", LOCK)
        return (found["ETag"], found["Body"].read()) if found else None

    def write_lease(self, data: bytes, *, over: str | None) -> str | None:
        """Write the lock object in place of the version `over`, or of none; None when another was faster."""
        condition: dict[str, Any] = {"IfMatch": over} if over is not None else {"IfNoneMatch": "*"}
        try:
            return str(self._call("put_object", taken=True, Key=self._key(LOCK), Body=data, **condition)["ETag"])
        except _Taken:
            return None

    def drop_lease(self, version: str) -> None:
        """Remove the lock object if it is still this version."""
        found = self.read_lease()
        if found is not None and found[0] == version:
            self._call("delete_object", Key=self._key(LOCK))

    def _key(self, path: str) -> str:
        return f"{self.prefix}/{path}" if self.prefix else path

    def _put(self, path: str, body: object, digest: str) -> None:
        kind = TYPES.get(Path(path).suffix, "application/octet-stream")
        self._call("put_object", Key=self._key(path), Body=body, ContentType=kind, Metadata={DIGEST: digest})

    def _find(self, action: str, path: str) -> dict[str, Any] | None:
        try:
            return self._call(action, missing=True, Key=self._key(path))
        except _Missing:
            return None

    def _call(self, action: str, *, missing: bool = False, taken: bool = False, **words: Any) -> dict[str, Any]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer: dict[str, Any] = getattr(self.client, action)(Bucket=self.bucket, **words)
            return answer
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            if missing and code in MISSING:
                raise _Missing from None
            if taken and code in TAKEN:
                raise _Taken from None
            reason = str(error)
        except BotoCoreError as error:
            reason = str(error)
        where = "/".join(filter(None, (f"s3://{self.bucket}", str(words.get("Key", "")))))
        raise StoreError(f"the storage refuses: {reason}", where=where, hint="what was sent stays: run this again")


class _Missing(Exception):
    pass


class _Taken(Exception):
    pass


def _each(function: Callable[[Any], T], items: Collection[Any]) -> Iterator[T]:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(function, items)
