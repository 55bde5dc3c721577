package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMalformedProxyFailsTheStart(t *testing.T) {
	for name, values := range map[string][]string{
		"HTTPS_PROXY": {
			"http://", "https://", "http://:3128", "://proxy", "http://proxy:port", "http://proxy:0", "http://proxy:70000", "http://proxy/path",
			"http://proxy?x", "http://proxy#x", "socks5://proxy:1080", "ftp://proxy", "http://pro xy", "http://user:the/very-secret@proxy:3128",
			"http://user:the#very-secret@proxy:3128", "http://user:the?very-secret@proxy:3128", "http://user:very-secret%zz@proxy:3128", "[::1",
		},
		"HTTP_PROXY": {"http://", "proxy:port"},
		"NO_PROXY": {
			"http://app.internal", "10.0.0.0/33", "10.0.0.0/", "app.internal:port", "app.internal:70000", "a b", "*.", "*internal", "app.*.internal",
			"app.internal.", "user:very-secret@proxy", "app..internal", ":80", "10.0.0.1;10.0.0.2",
		},
	} {
		for _, value := range values {
			if faults := faultsOf(t, map[string]string{name: value}); len(faults) != 1 || !strings.HasPrefix(faults[0], name+": ") {
				t.Errorf("%s=%s: faults %q, want one", name, value, faults)
			}
		}
	}
}

func TestUsualProxySettingsAreAccepted(t *testing.T) {
	for name, values := range map[string][]string{
		"HTTPS_PROXY": {
			"proxy:3128", "proxy", "http://proxy.internal:3128", "http://proxy.internal:3128/", "https://proxy.internal", "HTTP://PROXY:3128",
			"http://user:pass@proxy:3128", "user:pass@proxy:3128", "http://user:p%40%2F%23@proxy:3128", "http://[::1]:3128", "http://10.1.2.3:3128",
		},
		"https_proxy": {"proxy:3128"},
		"NO_PROXY": {
			"*", "app.internal", ".internal", "*.internal", "10.0.0.0/8", "10.1.2.3", "10.1.2.3:443", "app.internal:443", "::1", "[::1]:443", "fd00::/8",
			"localhost, 127.0.0.1 ,.svc,.cluster.local", "bücher.example", "a_b.internal", ",",
		},
	} {
		for _, value := range values {
			if faults := faultsOf(t, map[string]string{name: value}); faults != nil {
				t.Errorf("%s=%s: faults %q", name, value, faults)
			}
		}
	}
}

// TestLowerCaseProxyIsChecked also has the order of curl and Go: capitals win.
func TestLowerCaseProxyIsChecked(t *testing.T) {
	if faults := faultsOf(t, map[string]string{"https_proxy": "http://"}); len(faults) != 1 {
		t.Errorf("faults %q, want one", faults)
	}
	if faults := faultsOf(t, map[string]string{"https_proxy": "http://", "HTTPS_PROXY": "proxy:3128"}); faults != nil {
		t.Errorf("faults %q, want none: the name in capitals wins", faults)
	}
}

func TestProxyMayComeFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "proxy")
	if err := os.WriteFile(file, []byte("http://user:the-very-secret@:3128\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if faults := faultsOf(t, map[string]string{"HTTPS_PROXY_FILE": file}); len(faults) != 1 || !strings.HasPrefix(faults[0], "HTTPS_PROXY: ") {
		t.Errorf("faults %q, want one about the content of the file", faults)
	}
}

// authority is a certificate in PEM. Nothing uses its key.
const authority = `-----BEGIN CERTIFICATE-----
MIIBgjCCASmgAwIBAgIUWzu0+AM5jwOCo7CILvmIXu47X0IwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMYW4gYXV0aG9yaXR5MB4XDTI2MTEyOTAyMjczNVoXDTM2MTEy
NjAyMjczNVowFzEVMBMGA1UEAwwMYW4gYXV0aG9yaXR5MFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEvgVzSXSsCIi6WsE2op9wHH46f8D9PMu9aezuzpjjPF2yvfVn
ASVbcSV4g3VJCGJgLVJKpmBDU8bi7wyks++X3aNTMFEwHQYDVR0OBBYEFH1VgtaV
VKDYQr5Pglccn0qJB0ILMB8GA1UdIwQYMBaAFH1VgtaVVKDYQr5Pglccn0qJB0IL
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgZZM980o18sUDBgr7
baFfIY4Cssu9jJ+j3Eb5zGVYDegCID21zlt7W3LlItHoketNBK3VY3392RFXyO+i
MKHt0B3F
-----END CERTIFICATE-----
`

func TestUselessAuthoritiesFailTheStart(t *testing.T) {
	folder, good := t.TempDir(), t.TempDir()
	files := map[string]string{"empty.pem": "", "key.pem": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "der.crt": "\x30\x82\x01", "cut.pem": authority[:200]}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(good, "ca.pem")
	if err := os.WriteFile(file, []byte("# a comment\n"+authority), 0o600); err != nil {
		t.Fatal(err)
	}
	bad := map[string][]string{"SSL_CERT_FILE": {folder, "/nowhere/ca.pem", file + " "}, "SSL_CERT_DIR": {folder, file, "/nowhere", good + ":/nowhere", " " + good}}
	for name := range files {
		bad["SSL_CERT_FILE"] = append(bad["SSL_CERT_FILE"], filepath.Join(folder, name))
	}
	for name, values := range bad {
		for _, value := range values {
			if faults := faultsOf(t, map[string]string{name: value}); len(faults) != 1 || !strings.HasPrefix(faults[0], name+": ") {
				t.Errorf("%s=%q: faults %q, want one", name, value, faults)
			}
		}
	}
	for _, changes := range []map[string]string{
		{"SSL_CERT_FILE": file}, {"SSL_CERT_DIR": good}, {"SSL_CERT_DIR": folder + ":" + good}, {"SSL_CERT_FILE": file, "SSL_CERT_DIR": t.TempDir()},
	} {
		if faults := faultsOf(t, changes); faults != nil {
			t.Errorf("%v: faults %q", changes, faults)
		}
	}
}
