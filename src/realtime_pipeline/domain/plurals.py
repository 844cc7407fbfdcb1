"""Singular and plural: numbers with the words that they count."""


def counted(number: int, singular: str, plural: str = "") -> str:
    """Write a number with what it counts: "1 event", "2,000 events".

    Without `plural`, an s makes it of the singular: `counted(2, "copy", "copies")` needs it.
    """
    return f"{number:,} {numbered(number, singular, plural)}"


def numbered(number: int, singular: str, plural: str = "") -> str:
    """Return the form of a word, or of a word with its verb, for a number."""
    return singular if number == 1 else plural or f"{singular}s"
