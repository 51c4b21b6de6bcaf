# Two commands set everything up on a machine with Python 3.11, a C compiler and make:
#   make demo    the main job on real data, and a table and a picture of what it gives
#   make test    all tests, in two environments (TensorFlow, and tflite-runtime alone)
# make test-networks, test-android, test-arm64, test-armv7, bench and fuzz take longer or
# need more.

PYTHON  ?= python3.11
ifeq ($(shell command -v $(PYTHON) 2>/dev/null),)
PYTHON  := python3
endif
VENV    := .venv
RUNTIME := .venv-runtime
# Tests at a time; each may take a gigabyte.
WORKERS ?= 2
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: demo test check lint bench test-networks test-android test-arm64 test-armv7 \
        android-assets fuzz clean

demo: $(VENV)/.installed
	$(VENV)/bin/edgepro demo --out out/demo

test: check

check: lint $(VENV)/.installed $(RUNTIME)/.installed
	$(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist loadfile tests
	# Away from the sources, so that the wheel is what is tested.
	rm -rf .cache/runtime && mkdir -p .cache/runtime && cp -r tests .cache/runtime
	cd .cache/runtime && ../../$(RUNTIME)/bin/python -m pytest -q tests/runtime_only \
	    tests/edgepro_tf/native/test_delegate.py tests/edgepro_tf/native/test_vectors.py

test-networks: $(VENV)/.installed
	EDGEPRO_LARGE_NETWORKS=1 $(VENV)/bin/python -m pytest -q tests/converters/test_networks.py

lint: $(VENV)/.installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(CC) -std=c99 -Wall -Wextra -Werror -fsyntax-only edgepro_tf/native/*.c

SOURCES := setup.py pyproject.toml $(wildcard edgepro_tf/native/*.[ch])

$(VENV)/.installed: $(SOURCES)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --upgrade pip
	$(VENV)/bin/python -m pip install --quiet --editable ".[demo,test]"
	touch $@

# The wheel, in an environment as a device has it: no TensorFlow, numpy below 2.
$(RUNTIME)/.installed: $(SOURCES) $(shell find edgepro_tf converters -name "*.py" -o -name "*.md")
	$(PYTHON) -m venv $(RUNTIME)
	$(RUNTIME)/bin/python -m pip install --quiet --upgrade pip
	$(RUNTIME)/bin/python -m pip install --quiet pytest ".[tflite-runtime]"
	$(RUNTIME)/bin/python -m pip install --quiet --no-deps --force-reinstall .
	touch $@

# The device side on ARM of 64 and of 32 bits, emulated; says so and passes where it cannot
# be set up.
test-arm64 test-armv7:
	PYTHON=$(PYTHON) scripts/test_arm.sh $(@:test-%=%)

# Keys, model, sidecar and samples of the Android demo, in android_demo/keys and its assets.
android-assets: $(VENV)/.installed
	$(VENV)/bin/python android_demo/make_assets.py

# The Android library on the desktop JVM; says so and passes where it cannot be set up.
test-android:
	scripts/test_android.sh

bench: $(VENV)/.installed
	$(VENV)/bin/python -m benchmarks --out out/bench
	$(VENV)/bin/python -m benchmarks.restore_speed

# The native core against inputs made to harm, so long each; needs clang.
FUZZ_SECONDS ?= 60
fuzz: $(VENV)/.installed
	tests/fuzz/run.sh $(FUZZ_SECONDS) $(VENV)/bin/python

clean:
	rm -rf $(VENV) $(RUNTIME) build dist out *.egg-info .pytest_cache .hypothesis
	find edgepro_tf -name "libedgepro.*" -delete
