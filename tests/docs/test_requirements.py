"""What `make install` installs is pinned, all of it: pip resolves nothing, so nothing may be missing."""

import re
import tomllib
from collections import deque
from collections.abc import Iterable
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _pins() -> dict[str, str]:
    """The pinned version of every package that this interpreter gets, by canonical name."""
    pinned: dict[str, str] = {}
    for line in re.findall(r"^(\S.*?) *\\$", (ROOT / "requirements/dev.txt").read_text("utf-8"), re.MULTILINE):
        requirement = Requirement(line)
        (version,) = requirement.specifier
        assert version.operator == "==", line
        if requirement.marker is None or requirement.marker.evaluate():
            pinned[canonicalize_name(requirement.name)] = version.version
    return pinned


def _wanted_by_the_project() -> list[str]:
    project = PROJECT["project"]
    extras = [line for lines in project["optional-dependencies"].values() for line in lines]
    return [
        *project["dependencies"],
        *extras,
        *PROJECT["dependency-groups"]["dev"],
        *PROJECT["build-system"]["requires"],
    ]


def _applies(requirement: Requirement, extras: Iterable[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_every_requirement_of_every_pinned_package_is_pinned_with_a_version_that_satisfies_it() -> None:
    pinned = _pins()
    extras: dict[str, set[str]] = {}
    lines = deque(("pyproject.toml", line) for line in _wanted_by_the_project())
    lines += ((name, line) for name in pinned for line in distribution(name).requires or ())
    unmet: set[str] = set()
    while lines:
        by, line = lines.popleft()
        requirement = Requirement(line)
        if not _applies(requirement, extras.get(by, ())):
            continue
        name = canonicalize_name(requirement.name)
        version = pinned.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            unmet.add(f"{by} requires {line}, pinned is {version}")
        elif not requirement.extras <= extras.setdefault(name, set()):  # what the extras require is wanted as well
            extras[name] |= requirement.extras
            lines += ((name, more) for more in distribution(name).requires or ())
    assert not unmet
    assert "toml" in extras["coverage"]
    assert "hiredis" in extras["redis"]


def test_the_installed_packages_have_their_pinned_versions() -> None:
    assert {name: distribution(name).version for name in _pins()} == _pins()


def test_make_installs_what_is_pinned_without_resolving() -> None:
    recipe = (ROOT / "Makefile").read_text("utf-8")
    installs = re.findall(r"\$\(PIP\) install .*", recipe)
    assert installs
    assert all("--no-deps" in line for line in installs)
    assert "$(PIP) check" in recipe
