"""Puts compiled kernels into the wheel: a build for every sort of processor that the wheel's platform may have.

Without a C++ compiler the wheel carries none and fits every platform; it compiles at first use, or trains with PyTorch.
``FIRSTLIGHT_KERNELS=required`` makes that an error, ``none`` asks for it.
"""

import os
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "services/training/native/carried"


class CarriedKernels(BuildHookInterface[Any]):
    """Compiles ahead of the first use, for all who install the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile and add the libraries; an editable installation compiles for its own machine instead."""
        wish = os.environ.get("FIRSTLIGHT_KERNELS", "")
        if version == "editable" or wish == "none":
            return
        sys.path.insert(0, self.root)
        from services.training.native import build, targets  # noqa: PLC0415 - known only once the root is on the path

        here = targets.processor().machine
        runnable = [target for target in targets.TARGETS if target.machine == here]
        self._folder = tempfile.TemporaryDirectory()
        try:
            if not runnable:
                raise build.KernelUnavailableError(f"there is no kernel for {here}")
            for target in runnable:
                path = build.compile_kernel(Path(self._folder.name) / target.file, target.flags)
                build_data["force_include"][str(path)] = f"{PLACE}/{target.file}"
        except build.KernelUnavailableError as error:
            if wish == "required":
                raise
            self.app.display_warning(f"this wheel carries no compiled kernel: {error}")
            build_data["force_include"] = {}
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled, which the wheel has by now."""
        if folder := getattr(self, "_folder", None):
            folder.cleanup()
