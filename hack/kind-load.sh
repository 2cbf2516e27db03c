#!/usr/bin/env bash
# Makes an image of a static program and loads it into a kind cluster: E2E_LOAD_IMAGE=hack/kind-load.sh make test-e2e
#
#   hack/kind-load.sh PROGRAM IMAGE    (KIND_CLUSTER_NAME names the cluster)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$1" "$folder/manager"
printf 'FROM gcr.io/distroless/static:nonroot\nCOPY manager /manager\nUSER 65532:65532\nENTRYPOINT ["/manager"]\n' |
  docker build -q -t "$2" -f - "$folder"
kind load docker-image "$2"
