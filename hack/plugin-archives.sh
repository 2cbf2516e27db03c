#!/usr/bin/env bash
# Builds the kubectl plugin for each platform, packs it into archives that are the same whenever they are made of the same commit, and
# writes the manifest for krew, eub.yaml, beside them.
# usage: plugin-archives.sh FOLDER VERSION HOMEPAGE
# PLATFORMS=linux/amd64 builds for some only. The archives are to be downloaded from HOMEPAGE/releases/download/VERSION.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p "$1"
folder=$(cd "$1" && pwd) version=$2 homepage=$3
read -ra platforms <<<"${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64}"
time=$(git log -1 --format=%ct)

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
manifest=$folder/eub.yaml
sed "/^#/d; s|VERSION|$version|; s|HOMEPAGE|$homepage|" hack/krew/eub.yaml >"$manifest"
for platform in "${platforms[@]}"; do
  os=${platform%/*} arch=${platform#*/} bin=kubectl-eub
  files=(LICENSE)
  cp LICENSE "$staging"
  if [ "$os" = windows ]; then
    bin=kubectl-eub.exe
  else
    cp cmd/kubectl-eub/kubectl_complete-eub "$staging"
    files+=(kubectl_complete-eub)
  fi
  files+=("$bin")
  echo "Building the plugin for $os on $arch" >&2
  CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -C cmd/kubectl-eub -trimpath -ldflags "-s -w -X main.version=$version" -o "$staging/$bin" .
  archive=kubectl-eub_${os}_$arch
  (cd "$staging" && chmod 644 LICENSE && chmod 755 "${files[@]:1}" && touch --date="@$time" "${files[@]}")
  if [ "$os" = windows ]; then
    archive=$archive.zip
    rm -f "$folder/$archive"
    (cd "$staging" && TZ=UTC zip --quiet -X "$folder/$archive" "${files[@]}")
  else
    archive=$archive.tar.gz
    tar --create --directory "$staging" --format ustar --owner 0 --group 0 --numeric-owner "${files[@]}" | gzip --no-name -9 >"$folder/$archive"
  fi
  sum=$(sha256sum "$folder/$archive")
  cat >>"$manifest" <<EOF
  - selector:
      matchLabels:
        os: $os
        arch: $arch
    uri: $homepage/releases/download/$version/$archive
    sha256: ${sum%% *}
    bin: $bin
EOF
done
