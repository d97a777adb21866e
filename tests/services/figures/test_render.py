"""The drawing process: what it draws, how it is kept, and what happens when it fails."""

import os
import re
import signal
import struct
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from services.errors import BusyError, UnavailableError
from services.figures import render
from services.figures.page import standalone
from services.figures.render import Renderer

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> \u2028 & 'x' \"y\""
SPEC: dict[str, Any] = {
    "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
    "description": EVIL,
    "title": EVIL,
    "data": {"values": [{"x": "one & <two>", "y": 1}, {"x": "two", "y": 2}]},
    "mark": "bar",
    "encoding": {"x": {"field": "x", "type": "nominal"}, "y": {"field": "y", "type": "quantitative"}},
    "width": 120,
    "height": 80,
}


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Renderer]:
    renderer = Renderer(tmp_path_factory.mktemp("figures"))
    yield renderer
    renderer.close()


def size_of(png: bytes) -> tuple[int, int]:
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", png[16:24])


def test_svg_is_well_formed_and_carries_user_text_as_text(renderer: Renderer) -> None:
    root = ET.fromstring(renderer.render(SPEC, "svg"))
    text = " ".join(root.itertext())
    assert "one & <two>" in text
    assert "</script><script>alert(1)</script>" in text
    assert not [element for element in root.iter() if element.tag.endswith("script")]
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)


def test_png_has_two_pixels_per_pixel(renderer: Renderer) -> None:
    root = ET.fromstring(renderer.render(SPEC, "svg"))
    width, height = size_of(renderer.render(SPEC, "png"))
    assert (width, height) == pytest.approx((2 * float(root.attrib["width"]), 2 * float(root.attrib["height"])), abs=2)


def test_a_huge_png_is_drawn_smaller(renderer: Renderer) -> None:
    width, height = size_of(renderer.render({**SPEC, "width": 9_000, "height": 5_000}, "png"))
    assert width * height < 45e6


def test_pdf_is_a_pdf(renderer: Renderer) -> None:
    assert renderer.render(SPEC, "pdf").startswith(b"%PDF-")


def test_html_fetches_nothing_and_cannot_be_broken_out_of(renderer: Renderer) -> None:
    page = renderer.render(SPEC, "html").decode()
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(page)
    tags = [tag for tag, _ in seen]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not [attributes for _, attributes in seen if {"src", "href"} & attributes.keys()]
    assert "vegaEmbed" in page
    assert EVIL not in page


def test_a_standalone_page_escapes_what_ends_a_script() -> None:
    page = standalone({"title": EVIL}, "var a = '</script>';").decode()
    assert page.count("</script>") == 2
    assert "\u2028" not in page


def test_what_was_kept_is_not_drawn_again(tmp_path: Path) -> None:
    renderer = Renderer(tmp_path)
    first = renderer.render(SPEC, "svg", keep=True)
    renderer.close()
    again = Renderer(tmp_path)
    assert again.render(SPEC, "svg") == first
    assert again._drawing is None
    names = [path.name for path in tmp_path.iterdir()]
    assert names == [f"{again.tag(SPEC, 'svg')}.svg"]


def test_what_is_not_to_be_kept_is_not(renderer: Renderer, tmp_path: Path) -> None:
    own = Renderer(tmp_path)
    own.render(SPEC, "svg")
    own.close()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_stays_bounded(tmp_path: Path) -> None:
    renderer = Renderer(tmp_path, most_bytes=10_000)
    for place in range(6):
        renderer._keep(f"{place}.svg", b"x" * 3_000)
        os.utime(tmp_path / f"{place}.svg", (place, place))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.svg", "4.svg", "5.svg"]


def test_a_process_that_died_is_replaced(renderer: Renderer) -> None:
    renderer.render(SPEC, "svg")
    assert renderer._drawing is not None
    before = renderer._drawing.process.pid
    os.kill(before, signal.SIGKILL)
    assert renderer.render(SPEC, "svg").startswith(b"<svg")
    assert renderer._drawing.process.pid != before


def test_what_cannot_be_drawn_is_said_and_harms_nobody(renderer: Renderer) -> None:
    with pytest.raises(UnavailableError, match="could not be drawn"):
        renderer.render({"mark": "no such mark"}, "svg")
    assert renderer.render(SPEC, "svg").startswith(b"<svg")


@pytest.mark.parametrize("limit", ["PROCESSOR_SECONDS", "CLOCK_SECONDS"])
def test_a_picture_that_takes_too_long_is_given_up(limit: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, limit, 0.0)
    renderer = Renderer(tmp_path)
    with pytest.raises(UnavailableError):
        renderer.render(SPEC, "svg")
    assert renderer._drawing is None


def test_no_more_requests_wait_than_threads_can_be_spared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(render, "WAIT_SECONDS", 0.05)
    renderer = Renderer(tmp_path)
    with renderer._lock, pytest.raises(BusyError, match="try again later"):
        renderer.render(SPEC, "svg")
    for _ in range(render.MOST_WAITING):
        assert renderer._places.acquire(blocking=False)
    with pytest.raises(BusyError):
        renderer.render(SPEC, "svg")
    renderer._places.release()
    assert renderer.render(SPEC, "svg").startswith(b"<svg")
    renderer.close()


def test_pictures_asked_for_at_once_are_all_drawn(renderer: Renderer) -> None:
    specs = [{**SPEC, "title": "", "width": 100 + 20 * place} for place in range(6)]
    with ThreadPoolExecutor(6) as pool:
        drawings = list(pool.map(lambda spec: renderer.render(spec, "svg"), specs))
    widths = [float(ET.fromstring(svg).attrib["width"]) for svg in drawings]
    assert widths == sorted(widths)
    assert len(set(widths)) == 6


def test_the_drawing_process_sees_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIRSTLIGHT_DATABASE_URL", "postgresql://user:secret@host/name")
    with render._start() as drawing:
        while not (environment := Path(f"/proc/{drawing.process.pid}/environ").read_bytes()):
            assert drawing.process.poll() is None
        assert b"PATH=" in environment
        assert b"FIRSTLIGHT_DATABASE_URL" not in environment


def test_data_from_elsewhere_is_never_fetched(renderer: Renderer) -> None:
    with pytest.raises(UnavailableError):
        renderer.render({**SPEC, "data": {"url": "http://127.0.0.1:9/x.csv"}}, "svg")


def test_tags_tell_form_and_content_apart(renderer: Renderer) -> None:
    tags = {renderer.tag(SPEC, "svg"), renderer.tag(SPEC, "png"), renderer.tag({**SPEC, "width": 1}, "svg")}
    assert len(tags) == 3
    assert all(re.fullmatch(r"[0-9a-f]{64}", tag) for tag in tags)
