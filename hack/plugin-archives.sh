#!/usr/bin/env bash
# Writes an archive of the kubectl plugin for every platform to bin/plugin, and the manifest with which krew installs them.
# plugin-archives.sh FOLDER VERSION OS/ARCH...
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1 version=$2
shift 2
out=$PWD/bin/plugin
rm -rf "$out" && mkdir -p "$out"
cp "$folder/krew.yaml" "$out/eub.yaml"
sed -i "s|VERSION|$version|g" "$out/eub.yaml"

for platform in "$@"; do
	os=${platform%/*} arch=${platform#*/}
	program=kubectl-eub
	[ "$os" != windows ] || program=kubectl-eub.exe
	stage=$(mktemp -d)
	echo "Building the plugin for $platform"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go -C "$folder" build -trimpath -ldflags "-s -w -X main.version=$version" -o "$stage/$program" .
	cp LICENSE "$folder/kubectl_complete-eub" "$stage"
	archive=kubectl-eub_${version}_${os}_$arch.tar.gz
	# The same commit gives the same archive, byte for byte.
	tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode='u+rw,go=rX' -C "$stage" -cf - "$program" LICENSE kubectl_complete-eub | gzip -n -9 > "$out/$archive"
	rm -rf "$stage"
	sum=$(sha256sum "$out/$archive" | cut -d ' ' -f 1)
	sed -i "s|SHA256_${os}_$arch|$sum|" "$out/eub.yaml"
done
if grep -E 'SHA256_|VERSION' "$out/eub.yaml"; then
	echo 'The krew manifest has a platform that was not built' >&2
	exit 1
fi
go tool -modfile=hack/krew/go.mod validate-krew-manifest -skip-install -manifest "$out/eub.yaml"
