// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/http/httpproxy"
	corev1 "k8s.io/api/core/v1"
)

// TestProxy_LeavesTheAPIServerOut asks Go, which the operator asks too, through which proxy requests go.
func TestProxy_LeavesTheAPIServerOut(t *testing.T) {
	t.Parallel()
	container := manager(t, "--set", "proxy.https=http://proxy.example.com:3128,proxy.noProxy={.internal.example.com}")
	for _, host := range []string{"10.96.0.1", "fd00:10:96::1"} {
		// The kubelet replaces the variable.
		noProxy := strings.ReplaceAll(env(t, container, "NO_PROXY"), "$(KUBERNETES_SERVICE_HOST)", host)
		config := httpproxy.Config{HTTPSProxy: env(t, container, "HTTPS_PROXY"), NoProxy: noProxy}
		for address, isProxied := range map[string]bool{
			"https://production.runalloy.com/users/batch": true,
			"https://" + bracketed(host) + ":443/api":     false,
			"https://kubernetes.default.svc/api":          false,
			"https://gateway.internal.example.com":        false,
		} {
			target, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			proxy, err := config.ProxyFunc()(target)
			if err != nil || (proxy != nil) != isProxied {
				t.Errorf("%s goes through %v, %v", address, proxy, err)
			}
		}
	}
}

func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// TestCABundle_IsTrusted lets the operator ask a server whose certificate only the ConfigMap has.
func TestCABundle_IsTrusted(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	container := manager(t, "--set", "caBundle.configMap=company")
	folders := strings.Split(env(t, container, "SSL_CERT_DIR"), ":")
	if len(folders) != 2 || folders[0] != "/etc/ssl/certs" || folders[1] != container.VolumeMounts[0].MountPath {
		t.Fatalf("the folders are %v", folders)
	}
	folders[1] = configMapVolume(t, "ca.crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	command := exec.CommandContext(t.Context(), operator, "--probe="+server.URL)
	command.Env = append(os.Environ(), "SSL_CERT_DIR="+strings.Join(folders, ":"))
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// configMapVolume returns a folder as the kubelet makes it of a ConfigMap with one key: with symbolic links.
func configMapVolume(t *testing.T, key string, value []byte) string {
	t.Helper()
	volume := t.TempDir()
	const version = "..2026_01_01_00_00_00.0"
	for _, err := range []error{
		os.Mkdir(filepath.Join(volume, version), 0o750),
		os.WriteFile(filepath.Join(volume, version, key), value, 0o600),
		os.Symlink(version, filepath.Join(volume, "..data")),
		os.Symlink(filepath.Join("..data", key), filepath.Join(volume, key)),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return volume
}

// env returns the value of a variable.
func env(t *testing.T, container corev1.Container, name string) string {
	t.Helper()
	for _, variable := range container.Env {
		if variable.Name == name {
			return variable.Value
		}
	}
	t.Fatalf("%s is not set", name)
	return ""
}
