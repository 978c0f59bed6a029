# SPDX-License-Identifier: Apache-2.0
#
#   make run     install what is missing, build, boot Debian, or the built-in guest where there is no archive
#   make test    install, build, run every test
#
#   make install installs the program, the built-in guest, the manual page and the shells' completions
#
# The rest: build, guest, manual, test-long, lint, format, clean.

SWIFT ?= swift
PREFIX ?= /usr/local
BINARY := .build/release/lguest
GUEST := Guests/build/guest.elf

# Tests get a build folder of their own: their flags differ, and sharing one would rebuild everything twice.
TEST_FLAGS := -c release --scratch-path .build/tests -Xswiftc -enable-testing

.PHONY: all build guest manual dependencies run test test-long lint format install clean

all: build guest

dependencies:
	@Scripts/install-dependencies

build: dependencies
	$(SWIFT) build -c release --product lguest

guest: dependencies
	$(MAKE) --no-print-directory -C Guests

run: build guest
	@Scripts/run-guest $(BINARY) $(GUEST)

test: lint build guest
	@Scripts/fetch-busybox
	@$(BINARY) images fetch 686 686-pae || echo 'without Debian kernels the tests that boot them are skipped'
	LGUEST_BINARY=$(CURDIR)/$(BINARY) LGUEST_BUILTIN_GUEST=$(CURDIR)/$(GUEST) \
		$(SWIFT) test $(TEST_FLAGS)

test-long: export LGUEST_LONG_TESTS = 1
test-long: test

lint: dependencies
	$(SWIFT) format lint --strict --parallel -r Package.swift Sources Tests Guests/Sources

format: dependencies
	$(SWIFT) format --in-place --parallel -r Package.swift Sources Tests Guests/Sources

manual: build
	$(SWIFT) build -c release --product generate-manual
	@Scripts/make-manual $(BINARY) .build/release/generate-manual .build/manual

install: all manual
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/lguest
	install -D -m 644 $(GUEST) $(DESTDIR)$(PREFIX)/share/lguest/builtin-guest
	install -D -m 644 .build/manual/lguest.1 $(DESTDIR)$(PREFIX)/share/man/man1/lguest.1
	install -D -m 644 .build/manual/lguest.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lguest
	install -D -m 644 .build/manual/lguest.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_lguest
	install -D -m 644 .build/manual/lguest.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/lguest.fish

clean:
	rm -rf .build
	$(MAKE) --no-print-directory -C Guests clean
