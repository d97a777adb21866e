"""A process that draws: Vega-Lite in on standard input, pictures out on standard output.

It is a process of its own because vl-convert holds the interpreter for as long as it draws (measured: 1.4 s at the
first picture, 0.1 to 2 s at later ones), and nothing else could be answered meanwhile. Each request is one line of
JSON, ``{"form", "spec"}``; each answer is one line, ``{"bytes": n}`` or ``{"error": text}``, and then n bytes. It ends
with its parent (end of input), or when nothing was asked for a while, to give its memory back.
"""

import os
import select
import sys
from typing import Any, BinaryIO

import orjson
import vl_convert

IDLE_SECONDS = 60.0
PNG_SCALE = 2.0
MOST_PIXELS = 40e6
"""Of one PNG; beyond it the scale is lowered."""


def draw(form: str, spec: dict[str, Any]) -> bytes:
    """One picture; nothing is ever fetched for it.

    Args:
        form: svg, png, pdf, or script for Vega, Vega-Lite and their embedding as one script.
        spec: Vega-Lite with its data inside.

    Raises:
        ValueError: vl-convert cannot draw it, or an unknown form.
    """
    if form == "script":
        return vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;").encode()
    if form == "svg":
        return vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]).encode()
    if form == "pdf":
        return vl_convert.vegalite_to_pdf(spec, allowed_base_urls=[])
    if form == "png":
        return vl_convert.svg_to_png(svg := vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]), scale=_scale(svg))
    raise ValueError(f"unknown form {form!r}")


def _scale(svg: str) -> float:
    size = dict(part.split("=", 1) for part in svg[: svg.index(">")].split() if "=" in part)
    pixels = float(size["width"].strip('"')) * float(size["height"].strip('"'))
    return min(PNG_SCALE, (MOST_PIXELS / max(pixels, 1.0)) ** 0.5)


def main() -> None:
    """Answer requests until the input ends or nothing comes for a while."""
    # Whatever a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    while select.select([requests], [], [], IDLE_SECONDS)[0]:
        line = requests.readline()
        if not line:
            return
        _answer(orjson.loads(line), answers)


def _answer(request: dict[str, Any], answers: BinaryIO) -> None:
    try:
        content = draw(request["form"], request["spec"])
    except ValueError as error:
        answers.write(orjson.dumps({"error": str(error)[:2000]}) + b"\n")
    else:
        answers.write(orjson.dumps({"bytes": len(content)}) + b"\n" + content)
    answers.flush()


if __name__ == "__main__":
    main()
