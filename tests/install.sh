#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Installs into a directory of its own, builds programs against that copy, runs them, uninstalls. After `make`.
set -eu

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
trap 'exit 1' HUP INT TERM
root=$stage/root
prefix=/opt/xeplace
# As on Debian: the library in a directory of the architecture.
libdir=$prefix/lib/multiarch
flags="DESTDIR=$root prefix=$prefix libdir=$libdir"
export XEPLACE_MACHINE="${XEPLACE_MACHINE:-cpu=zen 2x bmg}"

say() { printf 'install test: %s\n' "$*"; }
fail() { printf 'install test: %s\n' "$*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# shellcheck disable=SC2086 # several words
${MAKE:-make} -s install $flags

for file in bin/xeplace include/xeplace.h lib/multiarch/libxeplace.so lib/multiarch/libxeplace.a \
    lib/multiarch/pkgconfig/xeplace.pc share/man/man3/xeplace.3; do
    test -s "$root$prefix/$file" || fail "$file is missing"
done
for page in man/*.[13]; do
    test -s "$root$prefix/share/man/man${page##*.}/${page##*/}" || fail "$page is not installed"
done
! grep -r '@[a-z_]*@' "$root$libdir/pkgconfig" || fail "a placeholder is left in xeplace.pc"
say "installed: $(cd "$root$prefix" && find . ! -type d | sort | tr '\n' ' ')"

if have pkg-config; then
    export PKG_CONFIG_LIBDIR="$root$libdir/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
    shared=$(pkg-config --cflags --libs xeplace)
    static="$(pkg-config --cflags xeplace) $root$libdir/libxeplace.a $(pkg-config --static --libs-only-l xeplace | sed 's/-lxeplace//')"
    say "pkg-config says: $shared"
else
    shared="-I$root$prefix/include -L$root$libdir -lxeplace"
    static="-I$root$prefix/include $root$libdir/libxeplace.a -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
    say "no pkg-config here: xeplace.pc was not tried, flags were given by hand"
fi

# build NAME FLAGS...
build() {
    name=$1
    shift
    # shellcheck disable=SC2086 # several words
    ${CC:-cc} -std=c11 -Wall -Wextra -Werror ${CFLAGS-} examples/place.c -o "$stage/$name" "$@" ${LDFLAGS-}
}

# shellcheck disable=SC2086 # several words
build shared $shared
LD_LIBRARY_PATH="$root$libdir" "$stage/shared" >"$stage/shared.out" || fail "the program linked with the shared library failed"
say "a program linked with the shared library runs"

# shellcheck disable=SC2086 # several words
build static $static
"$stage/static" >"$stage/static.out" || fail "the program linked with the archive failed"
say "a program linked with the archive runs"

if [ -e "$root$prefix/include/xeplace.hpp" ]; then
    if have "${CXX:-c++}"; then
        printf '#include <xeplace.hpp>\nint main() { return 0; }\n' >"$stage/empty.cc"
        # shellcheck disable=SC2086 # several words
        ${CXX:-c++} -std=c++17 -Wall -Wextra -Werror ${CXXFLAGS-} "$stage/empty.cc" -o "$stage/empty" $shared ${LDFLAGS-}
        LD_LIBRARY_PATH="$root$libdir" "$stage/empty"
        say "the C++ header compiles"
    else
        say "no C++ compiler here: xeplace.hpp was not tried"
    fi
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
"$root$prefix/bin/xeplace" --version | grep -qF "$version" || fail "the command does not say version $version"
say "the command says version $version"

# shellcheck disable=SC2086 # several words
${MAKE:-make} -s uninstall $flags
left=$(find "$root" ! -type d)
[ -z "$left" ] || fail "uninstall leaves $left"
say "uninstall leaves nothing"
