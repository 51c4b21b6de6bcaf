#!/usr/bin/env bash
# Attacks the native core: libFuzzer under AddressSanitizer and UBSan, for a number of
# seconds each (0: only the first inputs, again). Needs clang.
#   tests/fuzz/run.sh SECONDS [PYTHON]
# What made it fail is kept in .cache/fuzz; .cache/fuzz/fuzz_NAME FILE runs it again.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=$1 python=${2:-python3} out=.cache/fuzz
rm -rf "$out/corpus" && mkdir -p "$out"
PYTHONPATH=. "$python" -m tests.fuzz.make_corpus "$out/corpus"
for name in fuzz_model fuzz_delegate; do
  ${CLANG:-clang} -std=c99 -g -O1 -pthread -Iedgepro_tf/native \
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
    "tests/fuzz/$name.c" edgepro_tf/native/*.c -o "$out/$name"
  work="$out/work_$name" && mkdir -p "$work"
  if [ "$seconds" = 0 ]; then
    "$out/$name" -runs=0 "$out/corpus/$name"
  else
    "$out/$name" -max_total_time="$seconds" -max_len=8192 -timeout=20 \
      -artifact_prefix="$out/" "$work" "$out/corpus/$name"
  fi
done
