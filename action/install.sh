#!/usr/bin/env bash
# Finds the program and names it in the output `binary`: the one that was given; else the file of the
# release that this action is of; else one that is built from the source beside this file.
#
# What is downloaded is run only if its SHA-256 is the one of the release, and the one that was pinned,
# if any. A release that is not there is no mistake; one that is not what it should be is.
#
# Bash 3.2 is what macOS has: nothing newer is used.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(dirname "$here")
binary=${CHRONON_PLAN_BINARY-}
pinned=$(printf %s "${CHRONON_PLAN_SHA256-}" | tr A-F a-f)
repository=${CHRONON_PLAN_REPOSITORY-}
ref=${CHRONON_PLAN_REF-}
server=${GITHUB_SERVER_URL:-https://github.com}
place=${RUNNER_TEMP:-/tmp}/chronon-plan-program

# Says what is wrong and what to do, where GitHub shows it, and ends.
fail() {
    local text="$1; next: $2"
    text=${text//'%'/%25}
    text=${text//$'\r'/%0D}
    text=${text//$'\n'/%0A}
    echo "::error title=chronon-plan::$text"
    exit 1
}

found() {
    echo "binary=$1" >>"$GITHUB_OUTPUT"
    exit 0
}

is_digest() {
    [ "${#1}" -eq 64 ] && [ -z "$(printf %s "$1" | tr -d 0-9a-f)" ]
}

digest() {
    if command -v sha256sum >/dev/null; then sha256sum <"$1"; else shasum -a 256 <"$1"; fi |
        cut -d ' ' -f 1
}

# Ends where a file is not what was pinned.
check_pinned() {
    if [ -z "$pinned" ]; then return; fi
    local is
    is=$(digest "$1")
    if [ "$is" != "$pinned" ]; then
        fail "the SHA-256 of $1 is $is, and input sha256 says $pinned" \
            'give the digest of the file for this kind of runner, or leave sha256 out'
    fi
}

# Downloads a file; false where it is not there or cannot be had, after it said so.
download() {
    local status proto='=https'
    # Only a server of one's own may be asked without TLS, as tests do.
    case "$server" in http://*) proto='=http,https' ;; esac
    if ! command -v curl >/dev/null; then
        echo 'There is no curl to download a release with.'
        return 1
    fi
    if status=$(curl --silent --show-error --location --proto "$proto" --retry 3 \
        --connect-timeout 15 --max-time 300 --output "$2" --write-out '%{http_code}' "$1") &&
        [ "$status" = 200 ]; then
        return 0
    fi
    echo "$1 cannot be had (status ${status:-000})."
    return 1
}

# The file of the release, if the action is of one. Tags and commits are; the source of a branch may be
# newer than the release of its version.
of_release() {
    local asset version url is said
    case "$ref" in
        v[0-9]*) ;;
        *) if [ "${#ref}" -ne 40 ] || [ -n "$(printf %s "$ref" | tr -d 0-9a-f)" ]; then return 0; fi ;;
    esac
    asset=$("$BASH" "$here/release.sh" asset "${RUNNER_OS-}" "${RUNNER_ARCH-}")
    if [ -z "$repository" ] || [ -z "$asset" ]; then return 0; fi
    version=$("$BASH" "$here/release.sh" version)
    url=$server/$repository/releases/download/v$version/$asset
    if ! download "$url" "$place/$asset"; then return 0; fi
    if [ -z "$pinned" ]; then
        if ! download "$url.sha256" "$place/$asset.sha256"; then
            fail "the release has $asset but not its SHA-256" \
                'pin it with the input sha256, or give a program of your own with the input binary'
        fi
        read -r said _ <"$place/$asset.sha256" || true
        is=$(digest "$place/$asset")
        if [ "$is" != "$said" ]; then
            fail "the SHA-256 of $asset is $is, and the release says $said" \
                'run it again; if it stays so, do not trust that release'
        fi
    fi
    check_pinned "$place/$asset"
    chmod +x "$place/$asset"
    echo "chronon-plan $version from $url"
    found "$place/$asset"
}

build() {
    if [ -n "$pinned" ]; then
        fail 'there is no release whose SHA-256 could be the one of input sha256' \
            'use the action by a release tag, or leave sha256 out to build it from its source'
    fi
    if ! command -v cargo >/dev/null; then
        fail "there is no release of this version for ${RUNNER_OS-} ${RUNNER_ARCH-}, and no cargo to build it" \
            'install Rust in a step before, or give a program with the input binary'
    fi
    echo 'No release of this version for this runner: building it from its source.'
    # Cargo takes settings from the folder that it is started in: it must not be that of the branch,
    # which could name programs to run.
    cd "$source"
    if ! cargo build --release --locked --manifest-path "$source/Cargo.toml" --target-dir "$place"; then
        fail 'chronon-plan cannot be built on this runner' \
            'see what cargo says above; an old Rust is renewed by: rustup update stable'
    fi
    found "$place/release/chronon-plan"
}

if [ -n "$pinned" ] && ! is_digest "$pinned"; then
    fail 'input sha256 is not 64 hexadecimal digits' 'copy it from the .sha256 file of the release'
fi
if [ -n "$binary" ]; then
    if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then
        fail "input binary: $binary is no program" 'name one that exists, by its path'
    fi
    check_pinned "$binary"
    found "$(cd "$(dirname "$binary")" && pwd)/$(basename "$binary")"
fi
mkdir -p "$place"
of_release
build
