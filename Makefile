# SPDX-License-Identifier: Apache-2.0
#
#   make run     install what is missing, build, boot the built-in guest
#   make test    install, build, run every test
#
# The rest: build, guest, test-long, lint, format, install, clean.

SWIFT ?= swift
PREFIX ?= /usr/local
BINARY := .build/release/lguest
GUEST := Guests/build/guest.elf

# Tests get a build folder of their own: their flags differ, and sharing one would rebuild everything twice.
TEST_FLAGS := -c release --scratch-path .build/tests -Xswiftc -enable-testing

.PHONY: all build guest dependencies run test test-long lint format install clean

all: build guest

dependencies:
	@Scripts/install-dependencies

build: dependencies
	$(SWIFT) build -c release --product lguest

guest: dependencies
	$(MAKE) --no-print-directory -C Guests

run: build guest
	@Scripts/run-builtin-guest $(BINARY) $(GUEST)

test: lint build guest
	@Scripts/fetch-busybox
	LGUEST_BINARY=$(CURDIR)/$(BINARY) LGUEST_BUILTIN_GUEST=$(CURDIR)/$(GUEST) \
		$(SWIFT) test $(TEST_FLAGS)

test-long: export LGUEST_LONG_TESTS = 1
test-long: test

lint: dependencies
	$(SWIFT) format lint --strict --parallel -r Package.swift Sources Tests Guests/Sources

format: dependencies
	$(SWIFT) format --in-place --parallel -r Package.swift Sources Tests Guests/Sources

install: all
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/lguest
	install -D -m 644 $(GUEST) $(DESTDIR)$(PREFIX)/share/lguest/builtin-guest

clean:
	rm -rf .build
	$(MAKE) --no-print-directory -C Guests clean
