#!/usr/bin/env bash
# Adds the digest of each base image to its tag in the Dockerfile, or in the file that is named: image:tag becomes image:tag@sha256:….
# It asks the registries of the images; a digest that is there already is replaced.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
file=${1:-Dockerfile}
crane() { go tool -modfile=hack/crane/go.mod crane "$@"; }

grep -E '^ARG [A-Z]+_IMAGE=' "$file" | while IFS== read -r name image; do
  tag=${image%@*}
  digest=$(crane digest "$tag")
  sed -i "s|^$name=.*|$name=$tag@$digest|" "$file"
  printf '%s\n' "$tag@$digest"
done
