#!/usr/bin/env bash
# Tests android_demo without an Android SDK: builds the core and its JNI door for this
# machine with the library's own CMakeLists.txt, compiles library and app against Android's
# classes, and runs the library's tests on the desktop JVM, in a real TFLite interpreter.
#
#   scripts/test_android.sh            the checks and the tests
#   scripts/test_android.sh GOAL ...   these goals of Maven instead of "test"
#
# Needs x86-64 Linux, JDK 17 or later, Maven, CMake and a C compiler. Where they, or what
# Maven downloads, cannot be had it says so and ends with 0, or with 1 if
# ANDROID_REQUIRED=1.
#   KTLINT=0   leaves out ktlint (a download of 70 MB)
set -euo pipefail

cd "$(dirname "$0")/.."
PROJECT=$PWD
CACHE=$PROJECT/.cache/android
NATIVE=$CACHE/native
KTLINT_JAR=$CACHE/ktlint-cli-all.jar
KTLINT_VERSION=1.7.1

say() { echo "test-android: $*" >&2; }

fail() {
  say "FAILED: $*"
  exit 1
}

skip() {
  [[ ${ANDROID_REQUIRED:-0} != 1 ]] || fail "$*"
  say "SKIPPED: $*"
  exit 0
}

check_tools() {
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    skip "made for x86-64 Linux, for which it fetches an interpreter."
  local tool missing=()
  for tool in javac mvn cmake cc; do
    [[ -x $(command -v "$tool") ]] || missing+=("$tool")
  done
  ((${#missing[@]} == 0)) || skip "cannot build without ${missing[*]}." \
    "Run apt-get install openjdk-17-jdk-headless maven cmake gcc."
  if [[ -z ${JAVA_HOME:-} ]]; then
    JAVA_HOME=$(dirname "$(dirname "$(readlink -f "$(command -v javac)")")")
    export JAVA_HOME
  fi
  local version
  version=$("$JAVA_HOME/bin/java" -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
  ((version >= 17)) || skip "expected JDK 17 or later, got $version."
}

build_native() {
  say "building the native core for the JVM"
  { cmake -S android_demo/edgepro/src/main/cpp -B "$NATIVE" -DCMAKE_BUILD_TYPE=Release &&
    cmake --build "$NATIVE" --parallel; } >"$CACHE/log" 2>&1 ||
    fail "the native core does not build: $(tail -20 "$CACHE/log")"
}

# Maven's own words tell what could not be downloaded from what does not compile.
run_maven() {
  mvn --batch-mode --no-transfer-progress "$@" >"$CACHE/log" 2>&1 && return
  grep -qE "Could not (transfer|find) artifact|was not found in .* during a previous|\
Unknown host|PluginResolutionException" "$CACHE/log" &&
    skip "Maven cannot fetch what is needed: $(grep -m1 ERROR "$CACHE/log")"
  cat "$CACHE/log" >&2
  fail "mvn $*"
}

check_style() {
  [[ ${KTLINT:-1} == 1 ]] || return 0
  [[ -e $KTLINT_JAR ]] ||
    run_maven dependency:copy -DoutputDirectory="$CACHE" -Dmdep.stripVersion=true \
      -Dartifact="com.pinterest.ktlint:ktlint-cli:$KTLINT_VERSION:jar:all"
  java -jar "$KTLINT_JAR" --relative "android_demo/**/*.kt" "android_demo/**/*.kts" >&2 ||
    fail "ktlint: run it with -F to let it mend what it can."
}

mkdir -p "$CACHE"
check_tools
build_native
say "compiling against Android's classes, testing on $("$JAVA_HOME/bin/java" -version 2>&1 |
  head -1)"
rm -rf android_demo/*/target # Classes of files that are no more would be run.
run_maven -f android_demo/pom.xml -Dnative.dir="$NATIVE" "${@:-test}"
grep -E "^\[(INFO|WARNING)\] Tests run: [0-9]+, .*[0-9]$" "$CACHE/log" || true
check_style
say "done"
