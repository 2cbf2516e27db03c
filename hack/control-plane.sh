#!/usr/bin/env bash
# Prints the folder of kube-apiserver, etcd and kubectl: $KUBEBUILDER_ASSETS if set; else the download of setup-envtest; else, if
# the download fails, a folder of programs built once from Go modules (hack/controlplane).
#
# With an argument, prints the path of that program, built from Go modules: setup-envtest has no kube-controller-manager.
#
# Says on stderr what takes long.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { printf '%s\n' "control plane: $*" >&2; }

version=$(awk '$1 == "k8s.io/kubernetes" { print $2; exit }' hack/controlplane/go.mod)
minor=${version#v1.}
minor=${minor%%.*}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/embedded-user-operator
built=$cache/control-plane-$version

# patiently MESSAGE COMMAND... runs a command and prints the message every 30 seconds until it ends.
patiently() {
  local message=$1 next=$((SECONDS + 30)) begin=$SECONDS
  shift
  "$@" &
  running=$!
  trap 'kill "$running" 2>/dev/null || true' EXIT # also after Ctrl-C, which a command in the background ignores
  while sleep 0.2 && kill -0 "$running" 2>/dev/null; do
    if ((SECONDS >= next)); then
      say "$message ($(((SECONDS - begin) / 60))m$(((SECONDS - begin) % 60))s)"
      next=$((next + 30))
    fi
  done
  trap - EXIT
  wait "$running"
}

# compile PACKAGE FILE builds a program of hack/controlplane.
compile() {
  cd hack/controlplane
  CGO_ENABLED=0 exec go build -mod=readonly -o "$2" -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version
    -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=$minor" "$1"
}

# build PROGRAM TIME builds a program unless it exists.
build() {
  local program=$1 package=k8s.io/kubernetes/cmd/$1 building
  [ -x "$built/$program" ] && return
  [ "$program" = etcd ] && package=go.etcd.io/etcd/server/v3
  say "building $program ${version} from Go modules, once; takes $2 on 2 cores"
  mkdir -p "$built"
  building=$(mktemp "$built/.$program.XXXXXX")
  patiently "still building $program" compile "$package" "$building"
  chmod 755 "$building"
  mv "$building" "$built/$program" # atomic, so that an interrupted build leaves no broken program
}

# download prints the folder of the programs that setup-envtest downloads.
download() {
  exec go tool -modfile=go.tools.mod setup-envtest use "1.$minor.x" --bin-dir "$cache/envtest" -p path 2>/dev/null
}

if [ $# -gt 0 ]; then
  build "$1" "2 minutes"
  printf '%s\n' "$built/$1"
  exit
fi
if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
  printf '%s\n' "$KUBEBUILDER_ASSETS"
  exit
fi
if [ ! -x "$built/etcd" ]; then
  [ -d "$cache/envtest" ] || say "downloading kube-apiserver, etcd and kubectl 1.$minor with setup-envtest, once"
  if patiently "still downloading" download; then
    exit
  fi
  say "setup-envtest cannot download them"
fi
build kube-apiserver "7 minutes"
build kubectl "a minute"
build etcd "half a minute"
printf '%s\n' "$built"
