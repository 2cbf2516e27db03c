#!/usr/bin/env bash
# Prints the folder that holds kube-apiserver, etcd and kubectl: $KUBEBUILDER_ASSETS if that is set; else what setup-envtest
# downloads; else, where nothing can be downloaded, what Go builds from modules (hack/controlplane), once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '%s\n' "control plane: $*" >&2; }

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  printf '%s\n' "$KUBEBUILDER_ASSETS"
  exit
fi

version=$(cd hack/controlplane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/embedded-user-operator
built=$cache/control-plane-$version

if [ ! -x "$built/etcd" ]; then
  minor=${version#v}
  if downloaded=$(go tool -modfile=go.tools.mod setup-envtest use "${minor%.*}.x" --bin-dir "$cache/envtest" -p path 2>/dev/null); then
    printf '%s\n' "$downloaded"
    exit
  fi
  say "setup-envtest cannot download one; building $version from Go modules, once (7 minutes on 2 cores) ..."
  number=${version#v1.}
  ld="-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=${number%%.*}"
  mkdir -p "$cache"
  building=$(mktemp -d "$cache/building.XXXXXX")
  trap 'rm -rf "$building"' EXIT
  for package in k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kubectl go.etcd.io/etcd/server/v3; do
    program=$(basename "$package")
    [ "$program" = v3 ] && program=etcd # last: its presence says that all are there
    say "building $program"
    (cd hack/controlplane && CGO_ENABLED=0 go build -mod=readonly -ldflags "$ld" -o "$building/$program" "$package")
  done
  mkdir -p "$built"
  mv "$building/kube-apiserver" "$building/kubectl" "$building/etcd" "$built/"
  say "built $built"
fi
printf '%s\n' "$built"
