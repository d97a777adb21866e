#!/usr/bin/env bash
# Trains the golden studies on an emulated ARM processor and compares the digests: `make golden-aarch64`.
#
# Wants Debian's g++-aarch64-linux-gnu and qemu-user-static. An ARM Python from Debian and the locked NumPy, SciPy and
# Pydantic for ARM are unpacked into var/aarch64 and stay there; nothing on this machine is changed.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=$PWD/var/aarch64
python=${PYTHON:-.venv/bin/python}
compiler=${CXX_AARCH64:-aarch64-linux-gnu-g++}
for program in "$compiler" qemu-aarch64-static apt-get dpkg-deb; do
  command -v "$program" >/dev/null || { echo "$program is missing: apt-get install g++-aarch64-linux-gnu qemu-user-static"; exit 1; }
done

if [ ! -e "$place/.ready" ]; then
  rm -rf "$place"
  mkdir -p "$place"/{debs,root,wheels,site,state/lists/partial,cache/archives/partial}
  apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User= -o Debug::NoLocking=1
       -o "Dir::State=$place/state" -o Dir::State::status=/dev/null -o "Dir::Cache=$place/cache")
  "${apt[@]}" update
  minor=$("${apt[@]}" -s --no-install-recommends install python3-minimal | sed -n 's/^Inst libpython\(3\.[0-9]*\)-minimal.*/\1/p')
  (cd "$place/debs" && "${apt[@]}" download \
    $("${apt[@]}" -s --no-install-recommends install "python$minor" libstdc++6 | sed -n 's/^Inst \([^ ]*\).*/\1/p'))
  for package in "$place"/debs/*.deb; do dpkg-deb -x "$package" "$place/root"; done
  wanted=$("$python" -m pip freeze --disable-pip-version-check 2>/dev/null |
           grep -iE '^(numpy|scipy|pydantic|pydantic_core|annotated-types|typing_extensions|typing-inspection|psutil|pooch|orjson)==')
  # shellcheck disable=SC2086
  "$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --python-version "$minor" \
    --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux_2_17_aarch64 \
    --platform manylinux2014_aarch64 --dest "$place/wheels" $wanted
  for wheel in "$place"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$place/site"; done
  touch "$place/.ready"
fi

CXX=$compiler "$python" -c "
from pathlib import Path
from services.training.native import build, targets
arm = next(target for target in targets.TARGETS if target.machine == 'aarch64')
build.compile_kernel(Path('$place') / arm.file, (*arm.flags, *build.WARNINGS))"
interpreter=$(ls "$place"/root/usr/bin/python3.*[0-9] | head -n 1)
PYTHONDONTWRITEBYTECODE=1 qemu-aarch64-static -L "$place/root" -E "PYTHONPATH=$PWD:$place/site" "$interpreter" \
  -m tests.golden.studies --kernel "$place/kernel-aarch64.so" > "$place/digests.json"
diff tests/golden/digests.json "$place/digests.json"
echo "the $(grep -c : "$place/digests.json") studies have the same bits on aarch64"
