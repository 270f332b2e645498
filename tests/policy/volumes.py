"""Policy folders as a Kubernetes volume lays them out, and as it swaps them."""

import shutil
from pathlib import Path


class Volume:
    """A ConfigMap mount: each file is a link through `..data`, which points at a folder named after a time."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        self._generation = 0
        folder.mkdir()
        self._write(files)
        (folder / "..data").symlink_to(self._name)
        self._show(files)

    def swap(self, files: dict[str, str]) -> None:
        """What kubelet does: write a new folder, rename a new link over the old one, remove what is old."""
        old = self.folder / self._name
        self._write(files)
        (self.folder / "..data_tmp").symlink_to(self._name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        self._show(files)
        for path in self.folder.iterdir():
            if not path.name.startswith("..") and path.is_symlink() and not path.exists():
                path.unlink()
        shutil.rmtree(old)

    @property
    def _name(self) -> str:
        return f"..2026_11_25_14_00_{self._generation:02}.123456789"

    def _write(self, files: dict[str, str]) -> None:
        self._generation += 1
        for name, text in files.items():
            path = self.folder / self._name / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _show(self, files: dict[str, str]) -> None:
        for name in {Path(name).parts[0] for name in files}:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
