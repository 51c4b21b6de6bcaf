#!/usr/bin/env bash
# Fetches TFLite's C library, its external-delegate loader and their headers as TensorFlow
# published them for Node.js (tfjs-tflite-node, Apache-2.0), since neither the Python
# wheels nor Debian have them. Needs npm and tar. Your own build of TFLite does as well.
#
#   examples/fetch_tflite.sh FOLDER     writes FOLDER/include and FOLDER/lib
set -euo pipefail

PACKAGE=tfjs-tflite-node
VERSION=0.0.2
SHA512=65e77d6e23b3f65916b1e92f3f07449b15e7b235c99d93bc88e574b36636d105
SHA512+=35e5cc223de7731440588866caeec998a6426940d358f52ba4a0a9948bd6e4f7

target=${1:?usage: fetch_tflite.sh FOLDER}
[[ -e $target/lib/libtensorflowlite_c.so ]] && exit 0
case $(uname -m) in
  x86_64) machine=linux_amd64 ;;
  aarch64) machine=linux_arm64 ;;
  *) echo "cannot fetch TFLite: no library for $(uname -m)." >&2 && exit 1 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && npm pack --silent "$PACKAGE@$VERSION" >packed) ||
  { echo "cannot fetch TFLite: npm could not fetch $PACKAGE." >&2 && exit 1; }
archive=$work/$(tail -1 "$work/packed")
echo "$SHA512  $archive" | sha512sum --check --quiet
tar --extract --gzip --file "$archive" --directory "$work"
mkdir -p "$target"
cp -r "$work/package/cc_deps/include" "$target/"
cp -r "$work/package/cc_deps/$machine" "$target/lib"
