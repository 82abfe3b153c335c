"""Take the picture of the README from a finished run's page: `python docs/make_picture.py runs/tiny`.

Needs playwright and a chromium (`CHROMIUM` names another than the system's).
"""

import argparse
import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "pictures" / "report.png"
WIDTH = 900
COLORS = 128
"""The page has few: as a palette the picture takes a third of the bytes."""


def main() -> None:
    """Write the head of the page, down to the first section, as a small PNG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    page = parser.parse_args().run.resolve() / "report.html"
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": 1200}, color_scheme="light")
        tab.goto(page.as_uri())
        height = tab.evaluate("document.querySelector('h2').getBoundingClientRect().top")
        shot = tab.screenshot(clip={"x": 0, "y": 0, "width": WIDTH, "height": int(height) - 40})
        browser.close()
    PICTURE.parent.mkdir(exist_ok=True)
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLORS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
