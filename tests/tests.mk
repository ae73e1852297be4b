# SPDX-License-Identifier: MIT
#
# Tests, from near to far; the targets need what deploy/deps check installs.
#
#   make check-unit      modules and the dispatcher in process, under ASan and UBSan
#   make check-gateway   behind nginx on libvirt's test driver, under ASan and UBSan
#   make check-qemu      behind nginx on libvirtd and QEMU, in a namespace of its own (root)
#   make check-style     layers, format and lint
#   make check-tsan      in process, and the load test, under TSan
#   make check-valgrind  the load test, shorter, under valgrind
#   make check-slow      real Linux guests, of packages that apt fetches (root; a minute)
#   make bench           how fast it is, each figure beside a reference (docs/performance.md)

.PHONY: check-all check-unit run-unit check-gateway check-qemu check-style check-tsan \
	check-valgrind check-slow run-slow bench format unit-tests

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN := -fsanitize=thread -fno-omit-frame-pointer
PYTEST := PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider

TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/unit/*.c tests/api/*.c)))

$(BUILD)/tests/%: tests/%.c tests/unit/check.h $(MODULES:%=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -DTEMPLATES='"$(CURDIR)/xml"' -DCORPUS='"$(CURDIR)/tests/corpus"' -o $@ $< \
		$(MODULES:%=$(BUILD)/obj/%.o) $(LDLIBS) -lcmocka

unit-tests: $(TESTS)

check-all: check-style check-unit check-gateway check-qemu

# A variant is the same makefile in another build directory.
ASAN_BUILD = BUILD=$(BUILD)/asan SANITIZE='$(ASAN)'
TSAN_BUILD = BUILD=$(BUILD)/tsan SANITIZE='$(TSAN)'
# libvirt and GLib are not instrumented: what they do among themselves is not seen rightly.
TSAN_RUN = TSAN_OPTIONS='halt_on_error=0 exitcode=66 ignore_noninstrumented_modules=1 suppressions=$(CURDIR)/tests/tsan.supp'

check-unit:
	@$(MAKE) --no-print-directory $(ASAN_BUILD) unit-tests
	@$(MAKE) --no-print-directory $(ASAN_BUILD) run-unit

run-unit:
	@set -e; for test in $(TESTS); do $$test; done

check-gateway: all
	@$(MAKE) --no-print-directory $(ASAN_BUILD) $(BUILD)/asan/virtgate
	VIRTGATE_BIN=$(BUILD)/asan/virtgate $(PYTEST) tests/e2e/test_gateway.py tests/e2e/test_domain.py tests/e2e/test_convert.py \
		tests/e2e/test_drain.py tests/e2e/test_load.py

check-qemu: all
	tests/e2e/namespace env $(PYTEST) tests/e2e/test_qemu.py tests/e2e/test_policy.py tests/e2e/test_roundtrip.py \
		tests/e2e/test_guests.py

check-tsan: all
	@$(MAKE) --no-print-directory $(TSAN_BUILD) unit-tests $(BUILD)/tsan/virtgate
	@$(TSAN_RUN) $(MAKE) --no-print-directory $(TSAN_BUILD) run-unit
	$(TSAN_RUN) VIRTGATE_BIN=$(BUILD)/tsan/virtgate $(PYTEST) tests/e2e/test_load.py

check-valgrind: all
	VIRTGATE_BIN=tests/e2e/valgrind VIRTGATE_TEST_REQUESTS=1000 VIRTGATE_TEST_PATIENCE=5 $(PYTEST) tests/e2e/test_load.py

check-slow:
	@deploy/deps slow
	@start=$$(date +%s) && $(MAKE) --no-print-directory run-slow && \
		echo "check-slow: $$(($$(date +%s) - start)) s"

run-slow: all
	tests/slow/build
	tests/e2e/namespace env PYTHONPATH=tests/e2e $(PYTEST) -vv -s tests/slow

BENCHES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/bench/bench_*.c)))

bench: all $(BENCHES)
	tests/bench/run $(BUILD)/bench.json $(BENCHES) tests/bench/bench_create

C_FILES := $(wildcard fcgi-app/*.[ch] tests/*/*.[ch])

format:
	clang-format -i $(C_FILES)

check-style:
	@echo '  STYLE'
	$(Q)tests/layers
	$(Q)tests/docs
	$(Q)clang-format --dry-run -Werror $(C_FILES)
	$(Q)cppcheck -q --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE \
		--enable=warning,performance,portability $(SOURCES)
	$(Q)clang-tidy --quiet $(SOURCES) -- $(ALL_CFLAGS) 2>/dev/null
	$(Q)shellcheck deploy/deps deploy/quickstart deploy/demo tests/layers tests/docs \
		tests/e2e/namespace tests/e2e/libvirtd tests/e2e/valgrind tests/slow/build \
		tests/slow/guest/init tests/slow/guest/srv/cgi-bin/state .ci/run
	$(Q)xmllint --noout xml/*.xml
