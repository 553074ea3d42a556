#!/usr/bin/env bash
# What the action and the release both must know, from the files that say it.
#
#   release.sh version        the version of this source
#   release.sh asset OS ARCH  the file of a release for such a runner; nothing where there is none
#   release.sh matrix         all files of a release, as JSON for a matrix of jobs
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

rows() {
    sed -e '/^#/d' -e '/^$/d' "$here/assets.txt"
}

case "${1-}" in
    version)
        sed -n '/^version = /{ s/.*"\(.*\)".*/\1/p; q; }' "$here/../Cargo.toml"
        ;;
    asset)
        rows | while read -r os arch target _; do
            if [ "$os $arch" = "$2 $3" ]; then echo "chronon-plan-$target"; fi
        done
        ;;
    matrix)
        comma='['
        rows | while read -r _ _ target runner; do
            printf '%s{"target":"%s","runner":"%s","asset":"chronon-plan-%s"}' \
                "$comma" "$target" "$runner" "$target"
            comma=,
        done
        echo ']'
        ;;
    *)
        echo "usage: release.sh version | asset OS ARCH | matrix" >&2
        exit 1
        ;;
esac
