"""One repository of a publication as it is read: its index, and every file that this lists."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from photonbuild.errors import VerifyError
from photonbuild.publication.index import Index, Listed, ListedPackage, read_index, read_packages
from photonbuild.publication.layout import INDEX, SIGNATURE, SIGNATURE_OF
from photonbuild.storage.interface import Reader


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository: its folder in the publication, its index, and the packages that this lists."""

    folder: str
    index: Index
    packages: tuple[ListedPackage, ...]
    index_file: bytes
    signature: bytes | None

    @property
    def files(self) -> Mapping[str, Listed]:
        """All that it lists, by its path in the publication, the packages first."""
        return {f"{self.folder}/{item.path}": item for item in (*self.packages, *self.index.metadata.values())}

    @property
    def named_signature(self) -> str:
        """The path in the repository of the signature that is this index's and never another's."""
        return SIGNATURE_OF.format(sha256=hashlib.sha256(self.index_file).hexdigest())

    @property
    def index_files(self) -> Mapping[str, bytes]:
        """repomd.xml and its signature by their paths, in the order in which they have to be seen.

        First comes the signature under the name that holds the index's digest: whoever reads the index finds it. Then
        the index before the other signature, as clients ask for them.
        """
        paths = {self.named_signature: self.signature, INDEX: self.index_file, SIGNATURE: self.signature}
        return {f"{self.folder}/{path}": data for path, data in paths.items() if data is not None}


def read_repository(source: Reader, folder: str) -> Repository | None:
    """The repository in this folder, None where there is none. Raises VerifyError, StoreError."""
    where = f"{source.where}/{folder}"
    data = source.read(f"{folder}/{INDEX}")
    if data is None:
        return None
    index = read_index(data, f"{where}/{INDEX}")
    primary = index.metadata["primary"]
    packed = source.read(f"{folder}/{primary.path}")
    if packed is None:
        raise VerifyError("it is listed, but is not there", where=f"{where}/{primary.path}")
    return Repository(
        folder=folder,
        index=index,
        packages=read_packages(packed, f"{where}/{primary.path}"),
        index_file=data,
        signature=source.read(f"{folder}/{SIGNATURE}"),
    )


def need_repository(source: Reader, folder: str) -> Repository:
    """As `read_repository`. Raises VerifyError where there is none."""
    found = read_repository(source, folder)
    if found is None:
        raise VerifyError("there is no repository", where=f"{source.where}/{folder}")
    return found
