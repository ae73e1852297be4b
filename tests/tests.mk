# SPDX-License-Identifier: MIT
#
# Tests, from near to far. `make check` runs those marked with a star, and needs what
# `deploy/deps check` installs.
#
#   make quick           modules and the dispatcher in process, in less than a minute; needs
#                        libcmocka-dev, but no root, no network and no daemon
#   make check-style     format and lint, for contributors (clang-format and clang-tidy 14)
#   make check-tree    * who includes whom, templates and systemd's units
#   make check-unit    * as quick, under ASan and UBSan
#   make check-gateway * behind nginx on libvirt's test driver, under ASan and UBSan
#   make check-qemu    * behind nginx on libvirtd and QEMU, in a namespace of its own (root)
#   make check-faults  * what hangs, breaks and comes back, in another (root)
#   make check-openapi * the OpenAPI document, by a linter that npm fetches
#   make docs            the table of routes in docs/api.md, from the OpenAPI document
#   make check-covered * which documented answers the tests before have met
#   make check-fuzz    * a short run of each fuzzer, with QEMU's command lines judged (root)
#   make check-tsan      in process, and the load test, under TSan
#   make check-valgrind  the load test, shorter, under valgrind
#   make pentest         attacks through nginx, HTTP/2 and FastCGI, in tables; check-gateway runs a part
#   make check-slow      real Linux guests, of packages that apt fetches (root; a minute)
#   make check-systemd   the units of deploy/ on a booted Debian, in a container; two minutes, and some
#                        more for the first one (root)
#   make faults          the tests that inject faults, with hangs of a minute; prints what clients
#                        saw (docs/reliability.md; root; some minutes)
#   make soak            mixed requests and random faults for SOAK_SECONDS (600), in the order of
#                        SOAK_SEED (root)
#   make bench           how fast it is, each figure beside a reference (docs/performance.md; root)
#   make fuzz            each fuzzer for FUZZ_SECONDS; its corpus is kept, and FUZZ_SEEDS names more
#                        domains to start from
#   make format          formats the C files (clang-format 14)

.PHONY: quick check-all check-tree check-openapi check-covered check-unit run-unit check-gateway \
	check-qemu check-faults check-style check-tsan check-valgrind pentest check-slow run-slow check-systemd \
	faults soak \
	bench check-fuzz fuzz fuzzers format unit-tests $(FUZZERS:%=fuzz-%) $(FUZZERS:%=check-fuzz-%)

ASAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TSAN := -fsanitize=thread -fno-omit-frame-pointer
PYTEST := PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m pytest -q -p no:cacheprovider

# Near tests lie in folders of the same names as the rooms of fcgi-app/.
ROOMS := $(sort $(patsubst fcgi-app/%/,%,$(dir $(wildcard fcgi-app/*/*.c))))
TESTS := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard $(ROOMS:%=tests/%/test_*.c))))

$(BUILD)/tests/%: tests/%.c tests/check.h tests/fastcgi.h tests/in_process.h $(MODULES:%=$(BUILD)/obj/%.o)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -DTEMPLATES='"$(CURDIR)/xml"' -DCORPUS='"$(CURDIR)/tests/corpus"' -iquote tests -o $@ \
		$(filter %.c,$^) $(MODULES:%=$(BUILD)/obj/%.o) $(LDLIBS) -lcmocka

$(BUILD)/tests/convert/test_argv_oracle: tests/fuzz/argv_oracle.c tests/fuzz/argv_table.c \
	tests/fuzz/argv_words.c

# They stand between the program and libvirt, or the host.
$(BUILD)/tests/libvirt/test_domain: LDLIBS += -Wl,--wrap=virConnectGetLibVersion \
	-Wl,--wrap=virDomainGetControlInfo -Wl,--wrap=virDomainGetXMLDesc
$(BUILD)/tests/server/test_server: $(BUILD)/obj/server/server.o
$(BUILD)/tests/server/test_server: LDLIBS += $(BUILD)/obj/server/server.o -Wl,--wrap=thread_start
$(BUILD)/tests/storage/test_guard: LDLIBS += -Wl,--wrap=gate_enter_within \
	-Wl,--wrap=gate_enter_shared
$(BUILD)/tests/vm/test_unreadable: LDLIBS += -Wl,--wrap=virDomainGetInfo
$(BUILD)/tests/vm/test_remove: LDLIBS += -Wl,--wrap=hostpath_open
$(BUILD)/tests/vm/test_stop: LDLIBS += -Wl,--wrap=virDomainShutdownFlags \
	-Wl,--wrap=virDomainLookupByUUIDString

unit-tests: $(TESTS)

# Without a sanitizer, as its build and the tests in it would take more than the minute.
quick:
	@pkg-config --exists $(LIBS) cmocka || { echo 'quick: the headers of $(LIBS) or cmocka are' \
		'missing; "deploy/deps check" installs them, on Debian' >&2; exit 1; }
	@tests/layers
	@$(MAKE) --no-print-directory -k -j$(JOBS) --output-sync=target run-unit

# The tests on QEMU take the longest and mostly wait, so that the others run beside them. Each then
# needs some patience.
check-all: check-tree check-openapi check-unit
	@rm -rf $(BUILD)/seen
	@VIRTGATE_TEST_PATIENCE=3 $(MAKE) --no-print-directory -j2 --output-sync=target check-qemu \
		check-gateway check-faults
	@$(MAKE) --no-print-directory check-covered
	@$(MAKE) --no-print-directory check-fuzz

# A variant is the same makefile in another build directory.
ASAN_BUILD = BUILD=$(BUILD)/asan SANITIZE='$(ASAN)'
TSAN_BUILD = BUILD=$(BUILD)/tsan SANITIZE='$(TSAN)'
# libvirt and GLib are not instrumented: what they do among themselves is not seen rightly.
TSAN_RUN = TSAN_OPTIONS='halt_on_error=0 exitcode=66 ignore_noninstrumented_modules=1 suppressions=$(CURDIR)/tests/tsan.supp'

check-unit:
	@$(MAKE) --no-print-directory -j$(JOBS) $(ASAN_BUILD) unit-tests $(BUILD)/asan/virtgate
	@$(MAKE) --no-print-directory -k -j$(JOBS) --output-sync=target $(ASAN_BUILD) run-unit

# Without the caller's environment, in which a VIRTGATE_ variable would be a setting. What a test
# prints stands in a file beside it, and is shown if it fails.
ALONE := env -i PATH="$$PATH" LC_ALL=C.UTF-8 TSAN_OPTIONS="$$TSAN_OPTIONS"
RUNS := $(TESTS:%=run/%)
.PHONY: $(RUNS)

$(RUNS): run/%: %
	$(if $(V),,@echo "  RUN $*")
	$(Q)$(ALONE) $* >$*.log 2>&1 || { cat $*.log; exit 1; }

run-unit: $(RUNS)

check-gateway: all
	@$(MAKE) --no-print-directory $(ASAN_BUILD) $(BUILD)/asan/virtgate
	VIRTGATE_BIN=$(BUILD)/asan/virtgate VIRTGATE_TEST_REQUESTS=4000 $(PYTEST) --durations=8 -m 'not qemu' tests/e2e

# What attacks the running system.
ATTACKS := pentest names limits open_paths

# The linter comes from npm, as the lock file has it.
LINTER := $(BUILD)/openapi/node_modules/.bin/spectral

$(LINTER): tests/openapi/package-lock.json
	mkdir -p $(BUILD)/openapi
	cp tests/openapi/* $(BUILD)/openapi
	npm ci --prefix $(BUILD)/openapi --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

check-openapi: all $(LINTER)
	$(BUILD)/virtgate --openapi >$(BUILD)/openapi/openapi.json
	$(LINTER) lint --quiet --fail-severity=warn --ruleset tests/openapi/spectral.yaml $(BUILD)/openapi/openapi.json

docs: all
	PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 tests/e2e/openapi.py

# What the tests before it have met of the document.
check-covered: all
	PYTHONDONTWRITEBYTECODE=1 tests/e2e/covered.py

check-qemu: all
	tests/e2e/namespace env $(PYTEST) --durations=8 -m 'qemu and not faults' tests/e2e

check-faults: all
	tests/e2e/namespace env $(PYTEST) --durations=8 -m 'qemu and faults' tests/e2e

check-tsan: all
	@$(MAKE) --no-print-directory -j$(JOBS) $(TSAN_BUILD) unit-tests $(BUILD)/tsan/virtgate
	@$(TSAN_RUN) $(MAKE) --no-print-directory -k -j$(JOBS) --output-sync=target $(TSAN_BUILD) run-unit
	$(TSAN_RUN) VIRTGATE_BIN=$(BUILD)/tsan/virtgate VIRTGATE_TEST_PATIENCE=5 $(PYTEST) tests/e2e/test_load.py

check-valgrind: all
	VIRTGATE_BIN=tests/e2e/valgrind VIRTGATE_TEST_REQUESTS=1000 VIRTGATE_TEST_PATIENCE=5 $(PYTEST) tests/e2e/test_load.py

pentest:
	@deploy/deps check
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(MAKE) --no-print-directory -j$(JOBS) $(ASAN_BUILD) $(BUILD)/asan/virtgate
	VIRTGATE_BIN=$(BUILD)/asan/virtgate VIRTGATE_TEST_ATTACKS=all VIRTGATE_TEST_PATIENCE=3 $(PYTEST) --durations=8 \
		$(ATTACKS:%=tests/e2e/test_%.py)

check-slow:
	@deploy/deps slow
	@start=$$(date +%s) && $(MAKE) --no-print-directory run-slow && \
		echo "check-slow: $$(($$(date +%s) - start)) s"

run-slow: all
	tests/slow/build
	tests/e2e/namespace env $(PYTEST) -vv -s tests/slow

check-systemd: all
	@deploy/deps systemd
	tests/systemd/run

FAULT_TABLE := $(BUILD)/faults.md

faults: all
	@rm -f $(FAULT_TABLE)
	@export VIRTGATE_FAULT_TABLE=$(abspath $(FAULT_TABLE)) VIRTGATE_FAULT_SECONDS=60; status=0; \
	$(PYTEST) -m 'faults and not qemu' tests/e2e || status=$$?; \
	tests/e2e/namespace env $(PYTEST) -m 'faults and qemu' tests/e2e || status=$$?; \
	cat $(FAULT_TABLE); exit $$status

soak: all
	tests/e2e/namespace env VIRTGATE_FAULT_SECONDS=20 $(PYTEST) -s tests/soak

BENCHES := $(patsubst tests/%.c,$(BUILD)/tests/%,$(sort $(wildcard tests/bench/bench_*.c)))
# What virtgate is compared with.
BENCH_TOOLS := $(patsubst tests/%.c,$(BUILD)/tests/%,\
	$(sort $(filter-out tests/bench/bench_%,$(wildcard tests/bench/*.c))))

$(BUILD)/tests/bench/plain_server: $(BUILD)/obj/server/server.o
$(BUILD)/tests/bench/plain_server: LDLIBS += $(BUILD)/obj/server/server.o

bench:
	@deploy/deps bench
	@$(MAKE) --no-print-directory -j$(JOBS) all $(BENCHES) $(BENCH_TOOLS)
	tests/bench/run $(BUILD)/bench.json $(BENCHES) $(sort $(filter-out %.c,$(wildcard tests/bench/bench_*)))

# libFuzzer is clang's, so all that it sees is. Each tests/fuzz/fuzz_NAME.c is a fuzzer, which runs
# for FUZZ_SECONDS in `make fuzz`, and some thousand times in `make check-fuzz`.
FUZZ_SECONDS ?= 60
FUZZ_SEEDS ?=
FUZZ_SANITIZE := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
FUZZ_BUILD = BUILD=$(BUILD)/fuzz CC=clang SANITIZE='$(FUZZ_SANITIZE)'
FUZZERS := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_OBJECTS := $(patsubst tests/fuzz/%.c,$(BUILD)/obj/fuzz/%.o,$(wildcard tests/fuzz/*.c))

# What is not the same for all. Seeds are files in a directory, or texts in a table.
FUZZ_RUNS_argv := 8000
FUZZ_RUNS_domain := 8000
FUZZ_RUNS_request := 1000
FUZZ_RUNS_xml := 8000
FUZZ_SEEDS_argv := tests/corpus/qemu-argv
FUZZ_SEEDS_domain := tests/corpus/good tests/corpus/attacks xml tests/fuzz/corpus/domain $(FUZZ_SEEDS)
FUZZ_OPTIONS_domain := -max_len=16384 -use_cmp=0
FUZZ_INSIDE_domain = env FUZZ_DONORS=$(BUILD)/fuzz/seeds/domain tests/e2e/namespace \
	tests/fuzz/run $(BUILD)/guests/hello_qemu-x86_64
$(BUILD)/fuzz_domain: FUZZ_LINK := -Wl,--wrap=getrandom
$(BUILD)/fuzz_domain: $(patsubst %,$(BUILD)/obj/fuzz/%.o,argv_oracle argv_table argv_words \
	json_mutator mutator schema_words xml_mutator)
$(BUILD)/fuzz_request: $(patsubst %,$(BUILD)/obj/fuzz/%.o,shape world)

$(BUILD)/obj/fuzz/%.o: tests/fuzz/%.c Makefile tests/tests.mk
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) -DTEMPLATES='"$(CURDIR)/xml"' -MMD -MP -c -o $@ $<

$(BUILD)/fuzz_%: $(BUILD)/obj/fuzz/fuzz_%.o $(MODULES:%=$(BUILD)/obj/%.o)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) -fsanitize=fuzzer,address,undefined $(FUZZ_LINK) -pthread -o $@ $^ $(LDLIBS)

-include $(FUZZ_OBJECTS:.o=.d)
.SECONDARY: $(FUZZ_OBJECTS)

fuzzers: guests
	@$(MAKE) --no-print-directory -j$(JOBS) $(FUZZ_BUILD) $(FUZZERS:%=$(BUILD)/fuzz/fuzz_%)

FUZZ = $(FUZZ_INSIDE_$*) $(BUILD)/fuzz/fuzz_$* -timeout=60 -artifact_prefix=$(BUILD)/fuzz/found-$*- \
	$(or $(FUZZ_OPTIONS_$*),-max_len=4096)
FUZZ_GATHER = tests/fuzz/seeds $(BUILD)/fuzz/seeds/$* $(or $(FUZZ_SEEDS_$*),tests/fuzz/corpus/$*)

$(FUZZERS:%=fuzz-%): fuzz-%: fuzzers
	$(FUZZ_GATHER)
	mkdir -p $(BUILD)/fuzz/corpus/$*
	$(FUZZ) -max_total_time=$(FUZZ_SECONDS) -print_final_stats=1 \
		$(BUILD)/fuzz/corpus/$* $(BUILD)/fuzz/seeds/$*

# By runs and not by time, from the seeds alone and in one order, and nothing is kept. What is
# compared would guide a longer run, but some of it is addresses, and hashes with a random seed.
# So a build makes the same run each time; of fuzz_request, which has threads, a similar one.
$(FUZZERS:%=check-fuzz-%): check-fuzz-%: fuzzers
	$(FUZZ_GATHER)
	$(FUZZ) -seed=1 -runs=$(or $(FUZZ_RUNS_$*),20000) -use_cmp=0 -verbosity=0 \
		-seed_inputs=@$(BUILD)/fuzz/seeds/$*.list

fuzz: $(FUZZERS:%=fuzz-%)

check-fuzz: fuzzers
	@$(MAKE) --no-print-directory -j$(JOBS) --output-sync=target $(FUZZERS:%=check-fuzz-%)

# Copies of the units are looked at, as the program of the real ones is not installed. systemd exits
# with 0 after some complaints.
UNITS := $(wildcard deploy/*.service deploy/*.socket)

check-tree:
	@echo '  TREE'
	$(Q)tests/layers
	$(Q)xmllint --noout xml/*.xml
	@mkdir -p $(BUILD)/units
	$(Q)for unit in $(notdir $(UNITS)); do \
		sed 's,^ExecStart=.*,ExecStart=/bin/true,' deploy/$$unit >$(BUILD)/units/$$unit || exit; done
	$(Q)systemd-analyze --man=no verify $(UNITS:deploy/%=$(BUILD)/units/%) >$(BUILD)/units/found 2>&1 && \
		! grep virtgate $(BUILD)/units/found || { cat $(BUILD)/units/found; exit 1; }

# Other versions of LLVM's tools want another format and complain of other things.
LLVM_VERSION := 14
C_FILES := $(wildcard fcgi-app/*.[ch] fcgi-app/*/*.[ch] tests/*.[ch] tests/*/*.[ch])
SCRIPTS = $(shell grep -lE '^\#!.*[/ ](ba|busybox )?sh' .ci/run $$(find deploy tests -type f ! -name '*.*'))

# $(call IF_LLVM, tool, command): skipped, and said so, in another version.
IF_LLVM = case "$$($1 --version 2>&1)" in *" version $(LLVM_VERSION)."*) $2 ;; \
	*) echo "  skipped: $(strip $1) is not of version $(LLVM_VERSION)" ;; esac

format:
	clang-format -i $(C_FILES)

LINTED := $(SOURCES:%=lint/%)
.PHONY: $(LINTED)

$(LINTED): lint/%:
	$(Q)clang-tidy --quiet $* -- $(ALL_CFLAGS) 2>/dev/null

check-style:
	@deploy/deps style
	@echo '  STYLE'
	$(Q)$(call IF_LLVM, clang-format, clang-format --dry-run -Werror $(C_FILES))
	$(Q)cppcheck -q -j$(JOBS) --error-exitcode=1 --inline-suppr --std=c11 -D_GNU_SOURCE \
		-I fcgi-app --include=$(firstword $(wildcard /usr/include/*/sys/queue.h /usr/include/sys/queue.h)) \
		--enable=warning,performance,portability $(SOURCES)
	$(Q)shellcheck $(SCRIPTS)
	@$(call IF_LLVM, clang-tidy, $(MAKE) --no-print-directory -j$(JOBS) --output-sync=target $(LINTED))
