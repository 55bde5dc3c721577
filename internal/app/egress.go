package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpproxy"

	"dropgate/internal/clienttoken"
)

// newTransport returns the transport of all outgoing HTTP calls. Package dwolla clones
// it. It never uses a proxy for localhost and loopback addresses.
func (c Config) newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  func(r *http.Request) (*url.URL, error) { return c.proxyFor(r.URL) },
		OnProxyConnectResponse: checkConnect,
		DialContext:            (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           100,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
	}
}

// proxyAnswerError is the answer of an egress proxy that opens no connection.
type proxyAnswerError int

func (status proxyAnswerError) Error() string {
	return fmt.Sprintf("the egress proxy answered %d", int(status))
}

// proxyConnect is the Op of net/http for faults on the way to the proxy's first answer.
const proxyConnect = "proxyconnect"

// checkConnect replaces the error of net/http, which is a text of the proxy.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &net.OpError{Op: proxyConnect, Net: "tcp", Err: proxyAnswerError(answer.StatusCode)}
}

// parseEgress reads the proxies. httpproxy itself would ignore a malformed one, and
// connect directly.
func (f faults) parseEgress(c *Config) {
	var proxies httpproxy.Config
	for _, p := range []struct {
		name    string
		setting clienttoken.Secret
		into    *string
	}{{"HTTPS_PROXY", c.HTTPSProxy, &proxies.HTTPSProxy}, {"HTTP_PROXY", c.HTTPProxy, &proxies.HTTPProxy}} {
		if p.setting.IsZero() {
			continue
		}
		address, err := parseProxyURL(p.setting.Reveal())
		f.addError(p.name, err)
		*p.into = address
	}
	for _, item := range c.NoProxy {
		if !isProxyException(item) {
			f.add("NO_PROXY", shown(item)+" is not a host name, an address, a CIDR or *, with an optional port")
		}
	}
	proxies.NoProxy = strings.Join(c.NoProxy, ",")
	c.proxyFor = proxies.ProxyFunc()
}

// parseProxyURL completes the URL of a proxy. The error does not quote it.
func parseProxyURL(text string) (string, error) {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || !isPort(u.Port()) || strings.Trim(u.Path, "/") != "" || strings.ContainsAny(text, "?#") {
		return "", errors.New("is not a URL such as http://user:password@proxy.internal:3128" +
			" (in the password, write '@', '/', ':', '?', '#' and '%' as %40, %2F, %3A, %3F, %23 and %25)")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("must begin with http:// or https://, the protocol of the proxy itself")
	}
	return u.String(), nil
}

// isPort also accepts an empty one, the default.
func isPort(text string) bool {
	number, err := strconv.Atoi(text)
	return text == "" || err == nil && number > 0 && number < 65536
}

// isProxyException reports whether httpproxy understands a member of NO_PROXY. It
// ignores any other one.
func isProxyException(item string) bool {
	if _, err := netip.ParsePrefix(item); err == nil || item == "*" {
		return true
	}
	if host, port, err := net.SplitHostPort(item); err == nil {
		if !isPort(port) {
			return false
		}
		item = host
	}
	if _, err := netip.ParseAddr(item); err == nil {
		return true
	}
	return regexp.MustCompile(`^(\*?\.)?[\pL\pN_-]+(\.[\pL\pN_-]+)*$`).MatchString(item)
}

// lowerCaseNames are the names of curl and Go beside those in capitals, which win.
func lowerCaseNames(vars map[string]string) {
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		if clean(vars[name]) == "" && vars[name+"_FILE"] == "" {
			vars[name] = vars[strings.ToLower(name)]
		}
	}
}

// goReads are the settings that crypto/x509 reads from the environment itself.
func goReads() []string { return []string{"SSL_CERT_FILE", "SSL_CERT_DIR"} }

// exact refuses what clean would remove: crypto/x509 does not remove it, and ignores
// files that do not exist.
func (f faults) exact(vars map[string]string) {
	for _, name := range goReads() {
		if vars[name] != clean(vars[name]) {
			f.add(name, "has white space around it: remove it")
		}
	}
}

// maxBundle bounds a file with certificates of authorities, in bytes.
const maxBundle = 16 << 20

// authorities reads the certificates as crypto/x509 does, which ignores every fault.
func (k checker) authorities() {
	if k.CertFile != "" {
		content, err := readAtMost(k.CertFile, maxBundle)
		if err != nil {
			k.fail("SSL_CERT_FILE", err.Error())
		} else if !holdsAuthority(content) {
			k.fail("SSL_CERT_FILE", k.CertFile+" has no certificate in PEM")
		}
	}
	if k.CertDir == "" {
		return
	}
	found := k.CertFile != "" // an empty folder then leaves that file as the only source
	for _, folder := range filepath.SplitList(k.CertDir) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			k.fail("SSL_CERT_DIR", err.Error())
		}
		found = found || err != nil || slices.ContainsFunc(entries, func(e os.DirEntry) bool {
			content, err := readAtMost(filepath.Join(folder, e.Name()), maxBundle)
			return err == nil && holdsAuthority(content)
		})
	}
	if !found {
		k.fail("SSL_CERT_DIR", k.CertDir+" has no file with a certificate in PEM")
	}
}

func holdsAuthority(file []byte) bool { return x509.NewCertPool().AppendCertsFromPEM(file) }
