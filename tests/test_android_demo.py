"""What android_demo says in several places says the same in all of them.

The Kotlin tests run on a JVM of their own: scripts/test_android.sh.
"""

import json
import re
import runpy
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from edgepro_tf import datasets
from edgepro_tf.native._calls import _Status

DEMO = Path(__file__).parent.parent / "android_demo"
LIBRARY, APP = DEMO / "edgepro", DEMO / "app"
JNI = LIBRARY / "src" / "main" / "cpp" / "edgepro_jni.c"
KOTLIN = LIBRARY / "src" / "main" / "kotlin" / "dev" / "edgepro"
ANDROID = "{http://schemas.android.com/apk/res/android}"


def test_maven_and_gradle_take_the_same_versions() -> None:
    catalog = tomllib.loads((DEMO / "gradle" / "libs.versions.toml").read_text())
    pom = (DEMO / "pom.xml").read_text()
    for name in ("kotlin", "nimbus", "tflite"):
        (version,) = re.findall(rf"<{name}\.version>([^<]+)<", pom)
        assert catalog["versions"][name] == version, name


def test_gradle_takes_what_the_tests_of_the_app_depend_on() -> None:
    assert "libs.robolectric" in (APP / "build.gradle.kts").read_text()
    properties = (DEMO / "gradle.properties").read_text().splitlines()
    assert "android.useAndroidX=true" in properties


def test_the_app_asks_for_nothing_and_is_not_backed_up() -> None:
    manifest = ElementTree.parse(APP / "src" / "main" / "AndroidManifest.xml").getroot()
    assert [child.tag for child in manifest] == ["application"]
    (application,) = manifest
    assert application.get(f"{ANDROID}allowBackup") == "false"
    exported = [part.get(f"{ANDROID}name") for part in application]
    assert exported == ["dev.edgepro.demo.MainActivity"]


def test_models_are_stored_uncompressed_and_for_this_application() -> None:
    build = (APP / "build.gradle.kts").read_text()
    assert 'noCompress += "tflite"' in build
    (audience,) = re.findall(r'applicationId = "([^"]+)"', build)
    activity = next(APP.rglob("MainActivity.kt")).read_text()
    assert f'const val AUDIENCE = "{audience}"' in activity
    assert f'AUDIENCE = "{audience}"' in (DEMO / "make_assets.py").read_text()


def test_native_code_finds_what_it_names() -> None:
    """The shrinker keeps the classes it throws; Kotlin declares each function."""
    code = JNI.read_text()
    rules = (LIBRARY / "consumer-rules.pro").read_text()
    errors = (KOTLIN / "EdgeProException.kt").read_text()
    thrown = re.findall(r'"dev/edgepro/(\w+)"', code)
    assert len(thrown) == 4
    for name in thrown:
        assert f"-keep class dev.edgepro.{name} {{ <init>(" in rules
        assert re.search(rf"^class {name}\(", errors, re.MULTILINE)
    core = (KOTLIN / "runtime" / "NativeCore.kt").read_text()
    defined = set(re.findall(r"^NATIVE\(\w+, (\w+)\)", code, re.MULTILINE))
    assert defined == set(re.findall(r"external fun (\w+)\(", core))


def test_native_code_knows_every_status() -> None:
    code = JNI.read_text()
    for status in set(_Status) - {_Status.OK, _Status.OUT_OF_MEMORY}:
        assert f"EDGEPRO_{status.name}" in code, status


def test_the_core_is_compiled_as_for_python() -> None:
    cmake = (LIBRARY / "src" / "main" / "cpp" / "CMakeLists.txt").read_text()
    setup = (DEMO.parent / "setup.py").read_text()
    for ours, theirs in (
        ('"-std=c99"', "C_STANDARD 99"),
        ('"-O3"', "-O3"),
        ('"-fvisibility=hidden"', "C_VISIBILITY_PRESET hidden"),
        ('"-DNDEBUG"', "NDEBUG"),
    ):
        assert ours in setup
        assert theirs in cmake
    assert "max-page-size=16384" in cmake


def test_samples_are_the_test_images_and_their_labels() -> None:
    pytest.importorskip("sklearn")
    made = runpy.run_path(str(DEMO / "make_assets.py"))
    samples = json.loads(made["samples_json"]())
    data = datasets.load_dataset("digits")
    count = len(samples["labels"])
    assert samples["labels"] == data.y_test[:count].tolist()
    pixels = np.array(samples["images"], np.float32) / samples["greys"]
    shape = (count, samples["side"], samples["side"], 1)
    np.testing.assert_array_equal(pixels.reshape(shape), data.x_test[:count])
