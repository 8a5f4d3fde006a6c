# SPDX-License-Identifier: MIT OR Apache-2.0
# cargo builds, this installs.
#
#   make            the library for C and the command
#   make demo       places memory from C: on this host's xe GPUs, or on a simulated machine where there are none
#   make check      all tests, and an installation into a directory of its own; needs no GPU, no root, no network
#   make install    after make; DESTDIR and the usual directory variables are honoured
#   make uninstall  what install put there
#   make header     writes include/xeplace.h anew, from capi/src
#   make bench      what the library costs beyond the kernel's own calls
#   make check-kernel   the tests on the unmodified xe driver, in QEMU on modelled GPUs (tests/rig/README.md)
#   make trees      records generated PCI trees in such guests, for tests/trees.rs
#   make rig-shell      a shell there; MACHINE names one of tests/rig/machines

CARGO   ?= cargo
CC      ?= cc
INSTALL ?= install
READELF ?= readelf

prefix       ?= /usr/local
exec_prefix  ?= $(prefix)
bindir       ?= $(exec_prefix)/bin
libdir       ?= $(exec_prefix)/lib
includedir   ?= $(prefix)/include
datarootdir  ?= $(prefix)/share
mandir       ?= $(datarootdir)/man
pkgconfigdir ?= $(libdir)/pkgconfig

built   := $(or $(CARGO_TARGET_DIR),target)/$(if $(CARGO_BUILD_TARGET),$(CARGO_BUILD_TARGET)/)release
so      := $(built)/libxeplace_capi.so
archive := $(built)/libxeplace_capi.a
command := $(built)/xeplace
demo    := $(built)/demo

version := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
headers := $(wildcard include/*.h include/*.hpp)
pages   := $(wildcard man/*.1 man/*.3)
# The name that programs ask the loader for: set in capi/build.rs, and read back from what was built.
soname  := $$(LC_ALL=C $(READELF) -d $(so) | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')

all:
	$(CARGO) build --release --locked

# The library under its own name, without installing it.
library:
	$(CARGO) build -p xeplace-capi --release --locked
	@mkdir -p $(demo)
	@ln -sf ../libxeplace_capi.so $(demo)/libxeplace.so
	@ln -sf ../libxeplace_capi.so "$(demo)/$(soname)"

demo: library
	$(CC) -std=c11 -Wall -Wextra $(CPPFLAGS) $(CFLAGS) -Iinclude examples/place.c -o $(demo)/place \
		$(LDFLAGS) -L$(demo) -Wl,-rpath,'$(abspath $(demo))' -lxeplace
	@$(demo)/place

check: all
	$(CARGO) test --workspace --locked
	sh tests/install.sh

header:
	BLESS=1 $(CARGO) test -q --locked -p xeplace-capi --test header

bench:
	$(CARGO) run --release --locked -p xeplace-bench

rig := $(CARGO) run --release --quiet --locked --manifest-path tests/rig/Cargo.toml \
	--target-dir $(or $(CARGO_TARGET_DIR),target) -p xeplace-rig --

check-kernel:
	@$(rig) run $(MACHINE) $(if $(SEED),--set SEED=$(SEED)) $(if $(CASES),--set CASES=$(CASES)) $(if $(LIMIT),--limit $(LIMIT))

trees:
	@$(rig) trees

rig-shell:
	@$(rig) shell $(MACHINE)

install:
	@test -e $(so) -a -e $(archive) -a -e $(command) || { echo "nothing to install yet: run make first" >&2; exit 1; }
	$(INSTALL) -d $(DESTDIR)$(bindir) $(DESTDIR)$(libdir) $(DESTDIR)$(includedir) $(DESTDIR)$(pkgconfigdir) \
		$(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man3
	$(INSTALL) -m 755 $(command) $(DESTDIR)$(bindir)/
	$(INSTALL) -m 755 $(so) $(DESTDIR)$(libdir)/libxeplace.so.$(version)
	ln -sf libxeplace.so.$(version) "$(DESTDIR)$(libdir)/$(soname)"
	ln -sf "$(soname)" $(DESTDIR)$(libdir)/libxeplace.so
	$(INSTALL) -m 644 $(archive) $(DESTDIR)$(libdir)/libxeplace.a
	$(INSTALL) -m 644 $(headers) $(DESTDIR)$(includedir)/
	for page in $(pages); do $(INSTALL) -m 644 $$page $(DESTDIR)$(mandir)/man$${page##*.}/ || exit 1; done
	sed -e 's|@prefix@|$(prefix)|' -e 's|@exec_prefix@|$(exec_prefix)|' -e 's|@libdir@|$(libdir)|' \
		-e 's|@includedir@|$(includedir)|' -e 's|@version@|$(version)|' \
		pkgconfig/xeplace.pc.in > $(DESTDIR)$(pkgconfigdir)/xeplace.pc

uninstall:
	rm -f $(DESTDIR)$(bindir)/xeplace $(DESTDIR)$(libdir)/libxeplace.so $(DESTDIR)$(libdir)/libxeplace.so.* \
		$(DESTDIR)$(libdir)/libxeplace.a $(DESTDIR)$(pkgconfigdir)/xeplace.pc \
		$(foreach header,$(headers),$(DESTDIR)$(includedir)/$(notdir $(header))) \
		$(foreach page,$(pages),$(DESTDIR)$(mandir)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

.PHONY: all library demo check check-kernel trees rig-shell header bench install uninstall
