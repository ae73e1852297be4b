# SPDX-License-Identifier: MIT
#
#   make run     install what is missing, build, serve on https://127.0.0.1:$(PORT)
#   make demo    the three unikernels, created, used and removed on a machine of their own (root)
#   make check   install what the tests need and run them all
#   make help    the rest

VERSION := 0.1.0
BUILD ?= build
JOBS ?= $(shell nproc)
RUN_DIR ?= $(BUILD)/run
PORT ?= 8443
URI ?= test:///default

CC = gcc
# make V=1 shows the commands.
Q = $(if $(V),,@)
CFLAGS ?= -O2 -g
WARNINGS := -Wall -Wextra -Wshadow -Wswitch-enum -Wstrict-prototypes -Wmissing-prototypes \
	-Wwrite-strings -Wcast-qual -Wformat=2 -Wvla -Wno-missing-field-initializers -Werror
# What gcc 14's -fhardened selects, as far as gcc 12 has it. tests/e2e/test_binary.py looks for it.
HARDENING := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=3 -fPIE \
	$(if $(filter x86_64,$(shell uname -m)),-fcf-protection=full)
LIBS := libvirt json-c libxml-2.0 nettle
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -iquote fcgi-app -DVIRTGATE_VERSION='"$(VERSION)"' -pthread $(WARNINGS) \
	$(shell pkg-config --cflags $(LIBS)) $(CFLAGS) $(SANITIZE)
LDLIBS = $(shell pkg-config --libs $(LIBS)) -lfcgi
LDFLAGS_PROGRAM := -pie -Wl,-z,relro,-z,now,-z,noexecstack

SOURCES := $(sort $(wildcard fcgi-app/*.c fcgi-app/*/*.c))
OBJECTS := $(SOURCES:fcgi-app/%.c=$(BUILD)/obj/%.o)
# Everything that a test links with: all but main, and the server, whose main thread it is.
MODULES := $(filter-out main server/server,$(SOURCES:fcgi-app/%.c=%))

.DELETE_ON_ERROR:
.PHONY: all run demo check clean help compile_commands.json

all: $(BUILD)/virtgate guests

include tests/guests/guests.mk
include tests/tests.mk

$(BUILD)/virtgate: $(OBJECTS)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(LDFLAGS_PROGRAM) $(SANITIZE) -pthread -o $@ $^ $(LDLIBS)

$(BUILD)/obj/%.o: fcgi-app/%.c Makefile
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $@")
	$(Q)$(CC) $(ALL_CFLAGS) $(if $(SANITIZE),,$(HARDENING)) -MMD -MP -c -o $@ $<

-include $(OBJECTS:.o=.d)

# exec: no shell stays in between to keep a signal from the script.
# The sub-make starts after the packages are there: what pkg-config says is asked for then.
run:
	@deploy/deps run
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec env BUILD='$(BUILD)' RUN_DIR='$(RUN_DIR)' PORT='$(PORT)' URI='$(URI)' deploy/quickstart

demo:
	@deploy/deps demo
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@exec env BUILD='$(BUILD)' deploy/demo

check:
	@deploy/deps check
	@$(MAKE) --no-print-directory -j$(JOBS) all
	@$(MAKE) --no-print-directory check-all

# For clangd and other tools that read code.
COMPILED = $(SOURCES) $(sort $(wildcard tests/*/*.c))
COMPILE = $(CC) $(ALL_CFLAGS) -DTEMPLATES='"$(CURDIR)/xml"' -DCORPUS='"$(CURDIR)/tests/corpus"' -iquote tests
compile_command = {"directory":"$(CURDIR)","file":"$1","command":"$(subst ",\",$(COMPILE) -c $1)"}

compile_commands.json:
	$(file >$@,[$(subst } {,}$(comma){,$(foreach file,$(filter-out tests/guests/%,$(COMPILED)),$(call \
		compile_command,$(file))))])
comma := ,

clean:
	rm -rf $(BUILD) compile_commands.json

help:
	@sed -n 's/^#   //p' Makefile tests/tests.mk
