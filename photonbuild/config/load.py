"""The configuration: the files of ``build/``, the user's file and the command line, as one frozen value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from photonbuild import documents
from photonbuild.config import local as config_local
from photonbuild.config import validation as config_yaml
from photonbuild.config.advisories import Advisory
from photonbuild.config.cache import ProjectCaches, UserCaches, merged
from photonbuild.config.checks import check_images, check_profiles, unknown
from photonbuild.config.models import (
    DiskImage,
    Distribution,
    Image,
    ImageFile,
    Profile,
    Rebuilds,
    Runtime,
    Runtimes,
    Seed,
    Seeds,
    Signing,
    User,
)
from photonbuild.config.partitions import FileSystem, FileSystemNeeds, FileSystems
from photonbuild.config.sources import SourcesFile
from photonbuild.config.validation import Model
from photonbuild.documents import Document, nearest
from photonbuild.errors import ConfigError
from photonbuild.roots import BUILD, SPECS, Roots

USER_FILE = "photonbuild.yaml"
# What images may hold, by the name of their format.
ImageModels = Mapping[str, type[Image]]
MODELS: Mapping[str, type[Model]] = {
    "advisory": Advisory,
    "cache": ProjectCaches,
    "distribution": Distribution,
    "filesystems": FileSystems,
    "profile": Profile,
    "rebuilds": Rebuilds,
    "runtimes": Runtimes,
    "seed": Seeds,
    "signing": Seed,
    "sources": SourcesFile,
    "user": User,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that was configured. `roots`: where it lies; `profiles` holds each file as written.

    `more_seeds`: those with a file of their own, `build/NAME.yaml`, since nothing that they hold is part of a package.
    """

    roots: Roots
    distribution: Distribution
    seeds: Seeds
    more_seeds: Mapping[str, Seed]
    profiles: Mapping[str, Profile]
    images: Mapping[str, Image]
    runtimes: tuple[Runtime, ...]
    filesystems: Mapping[FileSystem, FileSystemNeeds]
    lvm: FileSystemNeeds
    rebuilds: Mapping[str, int]
    user: User
    caches: UserCaches = field(default_factory=UserCaches)

    @property
    def root(self) -> Path:
        """The checkout, or the project: what is written lies in it."""
        return self.roots.own

    @property
    def rebuilds_file(self) -> Path:
        return self.root / BUILD / "rebuilds.yaml"

    @property
    def stage_dir(self) -> Path:
        return self.root / "stage"

    def seed(self, name: str) -> Seed:
        """The seed called `name`."""
        return self.more_seeds[name] if name in self.more_seeds else self.seeds.named(name)

    @property
    def seed_names(self) -> tuple[str, ...]:
        """Every seed; what lies over another comes after it."""
        return (*self.seeds.names, *sorted(self.more_seeds))

    def seed_lock(self, name: str) -> Path:
        return self.roots.find(f"{BUILD}/{self.seed(name).lock}")

    def profile(self, name: str) -> Profile:
        """Profile `name` with everything it extends merged in, without duplicates, parents first."""
        return _merged(self.profiles, name)

    def image(self, name: str) -> Image:
        if name not in self.images:
            raise unknown("image", name, self.images)
        return self.images[name]

    def image_where(self, name: str, *loc: int | str) -> str:
        """``build/images/NAME.yaml:LINE`` of the value at `loc`, for messages about what was asked for there."""
        return self.image_document(name).where(*loc)

    def image_document(self, name: str) -> Document:
        """``build/images/NAME.yaml`` with the lines of its values."""
        return _read(self.roots, self.roots.find(f"{BUILD}/images/{name}.yaml"))

    def image_files(self, name: str) -> tuple[tuple[ImageFile, str], ...]:
        """The text files that image `name` asks for, each with its text. Raises ConfigError when one cannot be read."""
        texts = ((file, _text_of(self.roots, name, index, file)) for index, file in enumerate(self.image(name).files))
        return tuple((file, text) for file, text in texts if text is not None)

    def override(
        self,
        *,
        jobs: int | None = None,
        store: Path | None = None,
        authorized_keys: Sequence[str] = (),
        signing: Signing | None = None,
    ) -> Config:
        """The configuration with what the command line says; None and () leave a value alone."""
        changes: dict[str, Any] = {}
        if jobs is not None:
            if jobs < 1:
                raise ConfigError(f"the number of jobs must be at least 1, not {jobs}", where="--jobs")
            changes["jobs"] = jobs
        if store is not None:
            changes["store"] = str(store)
        if authorized_keys:
            changes["authorized_keys"] = (*self.user.authorized_keys, *authorized_keys)
        if signing is not None:
            changes["signing"] = signing
        return replace(self, user=self.user.model_copy(update=changes))


def load(roots: Roots, formats: ImageModels, *, user: User) -> Config:
    """Read the configuration in `roots`, whose images are of these formats. Raises ConfigError."""
    documents = {
        kind: {path.stem: _read(roots, path) for path in roots.entries(f"{BUILD}/{kind}", "*.yaml").values()}
        for kind in ("profiles", "images")
    }
    profiles = {name: config_yaml.validate(document, Profile) for name, document in documents["profiles"].items()}
    images = {name: _image(document, formats) for name, document in documents["images"].items()}
    check_profiles(profiles, documents["profiles"])
    made = _load(roots, "filesystems.yaml", FileSystems)
    check_images(images, profiles, made.filesystems, documents["images"])
    return Config(
        roots=roots,
        distribution=_distribution(roots),
        seeds=_load(roots, "seed.yaml", Seeds),
        more_seeds={"signing": _load(roots, "signing.yaml", Seed)},
        profiles=profiles,
        images=images,
        runtimes=_load(roots, "runtimes.yaml", Runtimes).runtimes,
        filesystems=made.filesystems,
        lvm=made.lvm,
        rebuilds=load_rebuilds(roots),
        user=user,
        caches=merged(user.cache, _project_caches(roots)),
    )


def _project_caches(roots: Roots) -> Iterator[ProjectCaches]:
    """``build/cache.yaml`` of every root that has one, the uppermost first."""
    for path in reversed(roots.all(f"{BUILD}/cache.yaml")):
        yield config_yaml.validate(_read(roots, path), ProjectCaches)


def load_user(path: Path | None = None) -> User:
    """The user's file `path`, which must exist, else ``$XDG_CONFIG_HOME/photonbuild.yaml`` if there is one."""
    if path is None and not default_user_file().exists():
        return User()
    return config_yaml.load(path or default_user_file(), User)


def load_rebuilds(roots: Roots) -> Mapping[str, int]:
    """``build/rebuilds.yaml`` of every root, each name with a spec; without that file nothing was built again.

    The count of a spec is that of the uppermost root that has one.
    """
    found: dict[str, int] = {}
    for path in roots.all(f"{BUILD}/rebuilds.yaml"):
        found |= _counts(roots, path)
    return found


def own_rebuilds(roots: Roots) -> Mapping[str, int]:
    """What the own root alone says in ``build/rebuilds.yaml``."""
    path = roots.own / BUILD / "rebuilds.yaml"
    return _counts(roots, path) if path.exists() else {}


def _counts(roots: Roots, path: Path) -> Mapping[str, int]:
    document = _read(roots, path)
    counts = config_yaml.validate(document, Rebuilds).rebuilds
    known = roots.entries(SPECS) if counts else {}
    for name in counts:
        if name not in known:
            where = document.where("rebuilds", name, key=True)
            raise ConfigError(f"no spec '{name}'{nearest(name, known)}", where=where)
    return counts


def load_sources(spec_dir: Path, *, roots: Roots | None = None) -> SourcesFile:
    """``sources.yaml`` of one spec; a spec without one has no fetched source.

    Every path of `local` must exist, in one of `roots`; without them, in that of the spec. With `roots`, messages name
    the file relative to its root.
    """
    path = spec_dir / "sources.yaml"
    if not path.exists():
        return SourcesFile()
    document = _read(roots, path) if roots else documents.read(path)
    result = config_yaml.validate(document, SourcesFile)
    seen: dict[str, int] = {}
    for index, entry in enumerate(result.sources):
        for number, name in enumerate(entry.names):
            place = ("members", number) if entry.members else ("file",)
            if name in seen:
                raise ConfigError(
                    f"file '{name}' is already listed in line {seen[name]}",
                    where=document.where("sources", index, *place),
                )
            seen[name] = document.line(("sources", index, *place))
    config_local.check(spec_dir, result, document, roots or Roots.around(spec_dir))
    return result


def schemas(formats: ImageModels) -> Mapping[str, type[Model]]:
    """What each kind of file may hold, by its name: those of images are called FORMAT-image."""
    return {**MODELS, **{f"{name}-image": model for name, model in formats.items()}}


def default_user_file() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / USER_FILE


def _read(roots: Roots, path: Path) -> Document:
    return documents.read(path, name=roots.where(path))


def _load(roots: Roots, name: str, model: type[config_yaml.M]) -> config_yaml.M:
    return config_yaml.validate(_read(roots, roots.find(f"{BUILD}/{name}")), model)


def _distribution(roots: Roots) -> Distribution:
    """``build/distribution.yaml``: the fields of the lowest root, each replaced by what one above it says."""
    name = f"{BUILD}/distribution.yaml"
    data: dict[str, Any] = {}
    found: Distribution | None = None
    for path in roots.all(name) or [roots.find(name)]:
        document = _read(roots, path)
        if isinstance(document.data, dict):
            data = {**data, **document.data}
            document = replace(document, data=data)
        found = config_yaml.validate(document, Distribution)
    assert found is not None
    return found


def _image(document: Document, formats: ImageModels) -> Image:
    """One image, by the model of its format."""
    name = document.data.get("format") if isinstance(document.data, dict) else None
    if isinstance(name, str) and name not in formats:
        raise unknown("format", name, formats, where=document.where("format"))
    return config_yaml.validate(document, formats.get(str(name), DiskImage))


def _text_of(roots: Roots, name: str, index: int, file: ImageFile) -> str | None:
    """The text of a file, None for one that is no UTF-8."""
    if file.source is None:
        assert file.text is not None
        return file.text
    path = roots.find(f"{BUILD}/{file.source}")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        known = roots.entries(str(Path(BUILD, file.source).parent)) if missing else {}
        raise ConfigError(
            f"no file 'build/{file.source}'{nearest(path.name, known)}"
            if missing
            else f"'{roots.where(path)}' cannot be read: {error}",
            where=_read(roots, roots.find(f"{BUILD}/images/{name}.yaml")).where("files", index, "source"),
        ) from None


def _merged(profiles: Mapping[str, Profile], name: str) -> Profile:
    if name not in profiles:
        raise unknown("profile", name, profiles)
    profile = profiles[name]
    if profile.extends is None:
        return profile
    parent = _merged(profiles, profile.extends)
    return profile.model_copy(
        update={
            "first": tuple(dict.fromkeys((*parent.first, *profile.first))),
            "packages": tuple(dict.fromkeys((*parent.packages, *profile.packages))),
        }
    )
