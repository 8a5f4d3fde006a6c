#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Unpacks Debian's newest kernel headers for userspace into DIR (default: target/uapi), for tests/uapi.rs.
#
# Without root and without touching the system: apt runs on lists and settings of its own below DIR. The archive is the
# one that this machine's apt uses. Nothing is fetched where the headers are already; remove DIR to fetch newer ones.
set -eu

suite=trixie-backports
package=linux-libc-dev
here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-${CARGO_TARGET_DIR:-$here/target}/uapi}

if [ -f "$dir/version" ]; then
	exit 0
fi
mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
dir=$(cd "$dir" && pwd)

# One-line sources name the archive behind "deb [options]", deb822 ones behind "URIs:".
archive=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' \
	/etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | grep '/debian/*$' | head -n 1)
if [ -z "$archive" ]; then
	echo "uapi-header.sh: no Debian archive in this machine's apt sources" >&2
	exit 1
fi

cat >"$dir/apt/sources.list" <<SOURCES
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $suite main
SOURCES
cat >"$dir/apt/apt.conf" <<SETTINGS
Dir::State::Lists "$dir/apt/lists";
Dir::Cache "$dir/apt/cache";
Dir::Etc::SourceList "$dir/apt/sources.list";
Dir::Etc::SourceParts "/dev/null";
Acquire::Languages "none";
APT::Sandbox::User "";
SETTINGS
export APT_CONFIG="$dir/apt/apt.conf"

apt-get update -qq
version=$(apt-cache madison $package | awk -F' *[|] *' 'NR == 1 { print $2 }')
if [ -z "$version" ]; then
	echo "uapi-header.sh: no $package in $suite" >&2
	exit 1
fi
(cd "$dir" && apt-get download -qq "$package=$version")
dpkg-deb -x "$dir/$package"_*.deb "$dir"
rm -r "$dir/$package"_*.deb "$dir/apt"
echo "$version" >"$dir/version"
echo "$package $version in $dir"
