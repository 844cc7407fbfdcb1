"""A safeguard: a line of the code, and what it becomes when it is switched off."""

import attrs


@attrs.frozen
class Mutation:
    """One line of the code, and what it becomes; the tests named are run, in that order, until one notices."""

    name: str
    file: str
    line: str
    becomes: str
    tests: tuple[str, ...] = ("tests/domain", "tests/application", "tests/laws/test_pipeline_laws.py")
