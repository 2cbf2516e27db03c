#!/usr/bin/env bash
# Prints the folder of kube-apiserver, etcd and kubectl: $KUBEBUILDER_ASSETS if set; else the download of setup-envtest; else, if
# the download fails, a folder of programs built once from Go modules (hack/controlplane).
#
# With an argument, prints the path of that program, built from Go modules: setup-envtest has no kube-controller-manager.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '%s\n' "control plane: $*" >&2; }

version=$(cd hack/controlplane && go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
minor=${minor%%.*}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/embedded-user-operator
built=$cache/control-plane-$version

# build PROGRAM builds a program unless it exists.
build() {
  local program=$1 package=k8s.io/kubernetes/cmd/$1 building
  [ -x "$built/$program" ] && return
  [ "$program" = etcd ] && package=go.etcd.io/etcd/server/v3
  say "building $program $version from Go modules, once"
  mkdir -p "$built"
  building=$(mktemp "$built/.$program.XXXXXX")
  (cd hack/controlplane && CGO_ENABLED=0 go build -mod=readonly -o "$building" -ldflags "-s -w
    -X k8s.io/component-base/version.gitVersion=$version
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor" "$package")
  chmod 755 "$building"
  mv "$building" "$built/$program" # atomic, so that an interrupted build leaves no broken program
}

if [ $# -gt 0 ]; then
  build "$1"
  printf '%s\n' "$built/$1"
elif [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  printf '%s\n' "$KUBEBUILDER_ASSETS"
elif [ ! -x "$built/etcd" ] &&
  downloaded=$(go tool -modfile=go.tools.mod setup-envtest use "1.$minor.x" --bin-dir "$cache/envtest" -p path 2>/dev/null); then
  printf '%s\n' "$downloaded"
else
  [ -x "$built/etcd" ] || say "setup-envtest cannot download it; building it takes 7 minutes on 2 cores"
  build kube-apiserver
  build kubectl
  build etcd
  printf '%s\n' "$built"
fi
