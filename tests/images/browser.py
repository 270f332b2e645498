"""Headless Chromium from Debian: what a viewer sees of a file, pixel by pixel."""

import base64
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from playwright.sync_api import sync_playwright

Pixels = NDArray[np.uint8]
_ARGUMENTS: Final = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--force-color-profile=srgb",
)  # fmt: skip
_ROOM_BYTES: Final = 16 * 1024 * 1024
"""Of files in one call into the page."""
_DRAW: Final = """async (files) => {
  const drawn = [];
  for (const [mime, encoded] of files) {
    const bytes = Uint8Array.from(atob(encoded), c => c.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], {type: mime}));
    const image = new Image();
    const loaded = await new Promise(r => { image.onload = () => r(true); image.onerror = () => r(false);
                                            image.src = url; });
    if (!loaded) { drawn.push(null); continue; }
    const canvas = document.createElement('canvas');
    canvas.width = image.naturalWidth;
    canvas.height = image.naturalHeight;
    const context = canvas.getContext('2d', {willReadFrequently: true});
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.drawImage(image, 0, 0);
    const levels = context.getImageData(0, 0, canvas.width, canvas.height).data;
    let text = '';
    for (let i = 0; i < levels.length; i += 8192) text += String.fromCharCode.apply(null, levels.subarray(i, i + 8192));
    drawn.push([canvas.width, canvas.height, btoa(text)]);
    URL.revokeObjectURL(url);
  }
  return drawn;
}"""


class Browser:
    """One process; it opens no page but a blank one and reaches no network."""

    def __init__(self, program: str, profile: Path) -> None:
        self._program, self._profile = program, profile

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        self._context = self._playwright.chromium.launch_persistent_context(
            self._profile, executable_path=self._program, headless=True, args=list(_ARGUMENTS)
        )
        self._page = self._context.new_page()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.close()
        self._playwright.stop()

    def draw(self, files: list[tuple[str, bytes]]) -> list[Pixels | None]:
        """Each file (MIME type, bytes) on white, `[h,w,3] uint8`; None where the browser shows no image."""
        drawn: list[Pixels | None] = []
        while files:
            batch = [files.pop(0)]
            while files and sum(len(data) for _, data in batch) + len(files[0][1]) < _ROOM_BYTES:
                batch.append(files.pop(0))
            encoded = [[mime, base64.b64encode(data).decode()] for mime, data in batch]
            drawn += [_pixels(found) for found in self._page.evaluate(_DRAW, encoded)]
        return drawn


def _pixels(found: tuple[int, int, str] | None) -> Pixels | None:
    if found is None:
        return None
    width, height, levels = found
    return np.frombuffer(base64.b64decode(levels), np.uint8).reshape(height, width, 4)[..., :3]
