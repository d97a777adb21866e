"""Text that shows as what it is: no control characters, and nothing that turns the direction of the line around."""

import unicodedata

TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))
"""Bidirectional embeddings, overrides and isolates: with them ``gnp.exe`` can be shown as ``exe.png``."""
HIDDEN = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's categories of control characters, lone surrogates, and separators of lines and paragraphs."""


def wrong_character(text: str) -> str | None:
    """What is wrong with a name, as the end of a sentence about it; None if nothing is."""
    for place, letter in enumerate(text, start=1):
        if _is_wrong(letter):
            return f"holds the control character U+{ord(letter):04X} at place {place}; give one line of plain text"
    return None


def without_wrong_characters(text: str) -> str:
    """The text without them: for names that nobody chose for us, such as a file's."""
    return "".join(letter for letter in text if not _is_wrong(letter))


def _is_wrong(letter: str) -> bool:
    return letter in TURNING or unicodedata.category(letter) in HIDDEN
