"""How numbers of things are written: the only place that knows a plural from a singular."""


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number with what it counts: "1 event", "2,000 events".

    `plural` is needed where it is not the singular with an s: `counted(2, "copy", "copies")`.
    """
    return f"{number:,} {numbered(number, singular, plural)}"


def numbered(number: int, singular: str, plural: str = "") -> str:
    """Choose the form of a word, or of a word with its verb, that goes with a number."""
    return singular if number == 1 else plural or f"{singular}s"
