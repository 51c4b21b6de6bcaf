#!/usr/bin/env bash
# Runs the golden pairs on ARM, of 64 or of 32 bits: cross-compiles the core, and runs it
# under user-mode emulation with Debian's Python and the wheels of TFLite runtimes.
#
#   scripts/test_arm.sh arm64|armv7            the device-side tests, in each runtime
#   scripts/test_arm.sh arm64|armv7 FILE ...   that Python program instead
#
# Made for Debian 12. What it downloads is kept in .cache/arm64 or .cache/armv7. Where the
# packages cannot be had it says so and ends with 0, or with 1 if ARM_REQUIRED=1.
#   PYTHON   a Python with pip, to fetch wheels                    (default python3)
set -euo pipefail

cd "$(dirname "$0")/.."
PROJECT=$PWD
PYTHON=${PYTHON:-python3}
PYTHON_VERSION=3.11 # Debian 12's, and the last that tflite-runtime has wheels for
DEVICE_PACKAGES=(cryptography jwcrypto pytest)
DEVICE_TESTS=(
  tests/runtime_only
  tests/edgepro_tf/runtime/test_memory_files.py
  tests/edgepro_tf/runtime/test_compiled_models.py
  tests/edgepro_tf/native/test_vectors.py
)
ARM=${1:-}
case $ARM in
arm64)
  DEBIAN=arm64 MACHINE=aarch64 TRIPLE=aarch64-linux-gnu
  # ai-edge-litert 2.2 and 2.3 crash in emulator 7.2 when imported, not on hardware.
  RUNTIMES=("tflite-runtime==2.14.0 numpy<2" "ai-edge-litert==2.1.0 numpy")
  DEBIAN_PACKAGES=()
  PIP=(pip install)
  EMULATOR=qemu-aarch64-static
  ;;
armv7)
  DEBIAN=armhf MACHINE=armv7l TRIPLE=arm-linux-gnueabihf
  RUNTIMES=("tflite-runtime==2.14.0") # no other has wheels of 32 bits
  # Nor have numpy and cffi; what Debian has is old enough for it to be asked for no more.
  DEBIAN_PACKAGES=(python3-{numpy,cffi-backend,pytest,hypothesis})
  DEVICE_PACKAGES=(cryptography jwcrypto typing-extensions)
  PIP=(pip install --no-deps)
  EMULATOR=qemu-arm-static
  # This wheel has no XNNPACK, which would have to come second.
  DEVICE_TESTS+=(tests/edgepro_tf/native/test_{abi,delegate}.py --deselect
    "tests/edgepro_tf/native/test_delegate.py::test_delegate_must_be_first")
  ;;
*)
  echo "usage: $0 arm64|armv7 [FILE ...]" >&2
  exit 2
  ;;
esac
shift
CACHE=$PROJECT/.cache/$ARM
ROOTFS=$CACHE/rootfs
TREE=$CACHE/tree
COMPILER=$TRIPLE-gcc

say() { echo "test-$ARM: $*" >&2; }

fail() {
  say "FAILED: $*"
  exit 1
}

skip() {
  [[ ${ARM_REQUIRED:-0} != 1 ]] || fail "$*"
  say "SKIPPED: $*"
  exit 0
}

install_tools() {
  [[ -x $(command -v "$EMULATOR") && -x $(command -v "$COMPILER") ]] && return
  [[ $(id -u) == 0 ]] || skip "cannot install the emulator and the cross compiler:" \
    "expected root. Run apt-get install qemu-user-static gcc-$TRIPLE."
  say "installing the emulator and the cross compiler"
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
    --no-install-recommends qemu-user-static "gcc-$TRIPLE" \
    "libc6-dev-$DEBIAN-cross"; } >"$CACHE/log" 2>&1 ||
    skip "cannot install the emulator and the cross compiler: $(tail -1 "$CACHE/log")"
}

# apt with lists, cache and dpkg status of its own: needs no root, and leaves the
# machine's architectures and packages as they are.
arm_apt() {
  local state=$CACHE/apt
  mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/sources"
  : >"$state/status"
  cp /etc/apt/sources.list.d/debian.sources "$state/sources/" 2>>"$CACHE/log" || true
  cat >"$state/apt.conf" <<EOF
APT::Architecture "$DEBIAN";
APT::Architectures { "$DEBIAN"; };
APT::Sandbox::User "root";
Debug::NoLocking "true";
Dir::State "$state";
Dir::State::lists "$state/lists";
Dir::State::status "$state/status";
Dir::Cache "$state";
Dir::Cache::archives "$state/archives";
Dir::Etc::sourceparts "$state/sources";
EOF
  APT_CONFIG=$state/apt.conf apt-get -qq "$@" >>"$CACHE/log" 2>&1
}

make_rootfs() {
  [[ -e $ROOTFS/.complete ]] && return
  say "fetching Debian's $DEBIAN Python $PYTHON_VERSION"
  : >"$CACHE/log"
  arm_apt update || true # A list that cannot be had matters where its packages do.
  arm_apt install -y --download-only --no-install-recommends \
    "python$PYTHON_VERSION" libstdc++6 "${DEBIAN_PACKAGES[@]}" ||
    skip "cannot fetch Debian 12's $DEBIAN packages: $(tail -1 "$CACHE/log")"
  rm -rf "$ROOTFS"
  mkdir -p "$ROOTFS"
  local package
  for package in "$CACHE"/apt/archives/*.deb; do
    dpkg-deb --extract "$package" "$ROOTFS" || fail "cannot unpack $package."
  done
  rm -rf "$CACHE/apt"
  touch "$ROOTFS/.complete"
}

site_of() { # "tflite-runtime==2.14.0 numpy<2" -> its folder
  echo "$CACHE/site-${1%% *}"
}

install_wheels() {
  local site platforms=() tag
  site=$(site_of "$1")
  [[ -e $site/.complete ]] && return
  say "fetching $ARM wheels of ${1%% *}"
  for tag in manylinux_2_{34,31,28,27,17}_"$MACHINE" manylinux2014_"$MACHINE"; do
    platforms+=(--platform "$tag")
  done
  rm -rf "$site"
  # shellcheck disable=SC2086 # the requirements are words
  "$PYTHON" -m "${PIP[@]}" --quiet --disable-pip-version-check --no-compile \
    --target "$site" --only-binary=:all: --implementation cp \
    --python-version "$PYTHON_VERSION" "${platforms[@]}" \
    $1 "${DEVICE_PACKAGES[@]}" >"$CACHE/log" 2>&1 ||
    skip "cannot fetch the $ARM wheels of ${1%% *}: $(tail -1 "$CACHE/log")"
  touch "$site/.complete"
}

# The project's device side, with a core of its own.
make_tree() {
  rm -rf "$TREE"
  mkdir -p "$TREE"
  tar --create --exclude='__pycache__' --exclude='libedgepro.*' \
    edgepro_tf tests scripts setup.py pyproject.toml | tar --extract --directory "$TREE"
  # The flags of setup.py, and warnings are errors here.
  "$COMPILER" -std=c99 -O3 -fPIC -fvisibility=hidden -DNDEBUG -pthread -shared \
    -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -Wl,-z,relro,-z,now \
    -Wall -Wextra -Werror "$TREE"/edgepro_tf/native/*.c \
    -o "$TREE/edgepro_tf/native/libedgepro.so" || fail "the core does not compile."
}

run_python() { # runtime, program and its arguments
  local site libraries=$ROOTFS/usr/lib/$TRIPLE
  site=$(site_of "$1")
  shift
  # OPENBLAS_*: choices for the machine that emulates, wrong for the emulated one.
  env --unset=OPENBLAS_CORETYPE --unset=OPENBLAS_L2_SIZE \
    PYTHONPATH="$site:$TREE" PYTHONHASHSEED=0 \
    "$EMULATOR" -E LD_LIBRARY_PATH="$libraries/blas:$libraries/lapack" \
    -L "$ROOTFS" "$ROOTFS/usr/bin/python$PYTHON_VERSION" "$@"
}

mkdir -p "$CACHE"
[[ $(uname -sm) == "Linux x86_64" ]] ||
  skip "made for x86-64 Linux. On ARM itself 'make test' does all of this."
install_tools
make_rootfs
for runtime in "${RUNTIMES[@]}"; do install_wheels "$runtime"; done
make_tree

cd "$TREE"
for runtime in "${RUNTIMES[@]}"; do
  say "${runtime%% *} on emulated $(run_python "$runtime" -c \
    'import platform; print(platform.machine(), "Python", platform.python_version())')"
  if (($#)); then
    run_python "$runtime" "$@" || fail "$1 in ${runtime%% *}."
  else
    run_python "$runtime" -m pytest -q -rs -p no:cacheprovider "${DEVICE_TESTS[@]}" ||
      fail "the tests in ${runtime%% *}."
  fi
done
say "done"
