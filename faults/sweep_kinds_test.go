//go:build faults

package faults_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	endian "encoding/binary"
	"io"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// usedByDirectory names the secrets in use while the server serves operators,
// webhook events, bearers and new users.
func usedByDirectory() []string {
	return []string{
		"DWOLLA_CLIENT_SECRET", "the Basic credentials for /token", "an access token", "a client token", "a bearer token",
		"the password of DATABASE_URL", "ADMIN_TOKEN", "DWOLLA_WEBHOOK_SECRET", "a webhook's signature",
		"the first of ENROLLMENT_KEYS", "the second of ENROLLMENT_KEYS", "a correlationId",
		"OTEL_EXPORTER_OTLP_HEADERS",
	}
}

// usedByProxyAndForward names the secrets of the modes proxy and forward, and of the
// lookup.
func usedByProxyAndForward() []string {
	return []string{
		"DWOLLA_CLIENT_SECRET", "the Basic credentials for /token", "an access token", "a client token",
		"AUTH_PROXY_SECRET", "CUSTOMER_LOOKUP_TOKEN", "a cookie of the application",
	}
}

// usedBySignIns names the secrets of the mode oidc.
func usedBySignIns() []string {
	return []string{
		"DWOLLA_CLIENT_SECRET", "the Basic credentials for /token", "an access token", "a client token",
		"AUTH_OIDC_CLIENT_SECRET", "credentials for the provider", "a code", "a state", "a nonce", "a code_verifier", "an ID token", "a logout token",
		"the password of REDIS_URL", "the cookie __Host-dropgate-session", "the cookie __Host-dropgate-login-",
		"the first of SESSION_KEYS", "the second of SESSION_KEYS", "AUTH_OIDC_CLIENT_KEYS",
	}
}

// usedByEgress names the secrets of the egress proxies.
func usedByEgress() []string {
	return []string{"the password of HTTPS_PROXY", "the password of HTTP_PROXY"}
}

// TestSweepKnowsEverySecretSetting: settings with a _FILE form are secret.
func TestSweepKnowsEverySecretSetting(t *testing.T) {
	t.Parallel()
	swept := strings.Join(slices.Concat(usedByDirectory(), usedByProxyAndForward(), usedBySignIns(), usedByEgress()), "\n")
	settings := regexp.MustCompile(`Or name a file that holds it: (\w+)_FILE`).FindAllStringSubmatch(binary.help, -1)
	for _, setting := range settings {
		if !strings.Contains(swept, setting[1]) {
			t.Errorf("no sweep uses %s", setting[1])
		}
	}
	if len(settings) < 9 {
		t.Errorf("-help names only %d secret settings, want at least 9", len(settings))
	}
}

// correlationID computes a user's correlationId by a key of ENROLLMENT_KEYS (decision
// 10).
func correlationID(key []byte, user string) string {
	mac := hmac.New(sha256.New, key)
	_, _ = io.WriteString(mac, "dropgate enrollment 1\x00"+user) // a hash never fails
	return "dg1." + strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(mac.Sum(nil)))
}

func decoded(t *testing.T, text string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal("invalid base64") // the error may quote a secret
	}
	return b
}

// requirePassword puts a cleartext password check before PostgreSQL, for the password
// in DATABASE_URL. The test servers ask for none.
func (w *world) requirePassword(t *testing.T) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	databaseURL, err := url.Parse(w.settings["DATABASE_URL"])
	if err != nil {
		t.Fatal("DATABASE_URL is not a URL") // the error quotes the password
	}
	password, _ := databaseURL.User.Password()
	behind := w.toPostgres.Server()
	w.toPostgres.Redirect(listener.Addr().String())
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				w.checkPassword(c, behind, password)
			}()
		}
	}()
}

// checkPassword checks the password of a connection. Then it replays the client's first
// message and passes bytes on.
func (w *world) checkPassword(c net.Conn, behind, password string) {
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	hello, err := readMessage(c, 0)
	if err != nil {
		return
	}
	_, _ = c.Write([]byte("R\x00\x00\x00\x08\x00\x00\x00\x03")) // asks for a cleartext password; a closed connection answers none
	reply, err := readMessage(c, 1)
	if err != nil || string(reply[5:]) != password+"\x00" {
		return
	}
	w.secrets.markUsed(password)
	server, err := net.Dial("tcp", behind) //nolint:noctx // to this machine
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	_ = c.SetDeadline(time.Time{})
	_, _ = server.Write(hello) // if this fails, reading does too
	go func() {
		_, _ = io.Copy(server, c)
		_ = server.Close()
	}()
	_, _ = io.Copy(c, server)
}

// readMessage reads a PostgreSQL message. Its length follows after kind bytes.
func readMessage(r io.Reader, kind int) ([]byte, error) {
	head := make([]byte, kind+4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	length := int(endian.BigEndian.Uint32(head[kind:]))
	if length < 4 || length > 4096 {
		return nil, io.ErrUnexpectedEOF
	}
	rest := make([]byte, length-4)
	_, err := io.ReadFull(r, rest)
	return append(head, rest...), err
}
