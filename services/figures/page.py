"""One figure as a page that needs nothing from elsewhere: its numbers, and the script that draws them."""

from collections.abc import Mapping
from html import escape
from typing import Any

import orjson

POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:"
)
"""Vega compiles its expressions, hence 'unsafe-eval'; sandboxed, the page is of no origin and reaches nothing."""
OPTIONS = {"renderer": "svg", "actions": {"export": True, "source": True, "compiled": False, "editor": False}}


def standalone(spec: Mapping[str, Any], script: str) -> bytes:
    """The page.

    Args:
        spec: Vega-Lite with its data inside.
        script: defines `vegaEmbed` on the window.
    """
    described = escape(str(spec.get("description", "")), quote=True)
    embedded = script.replace("</script", "<\\/script")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Firstlight figure</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>body { margin: 1rem; } #figure { overflow-x: auto; }</style></head>"
        f'<body><div id="figure" role="img" aria-label="{described}"></div>'
        f'<script type="module">{embedded}</script>'
        f'<script type="module">vegaEmbed("#figure", {_inside_script(spec)}, {_inside_script(OPTIONS)});</script>'
        "</body></html>"
    ).encode()


def _inside_script(value: Any) -> str:
    """JSON that cannot end the script it stands in, whatever text a user put into it."""
    text = orjson.dumps(value).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
