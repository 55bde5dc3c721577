package app

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"dropgate/internal/listener"
)

// maxPEM bounds a file with a certificate chain or a key, in bytes.
const maxPEM = 1 << 20

// pairFiles are the files of a certificate chain and of its key, in PEM.
type pairFiles struct {
	cert, key string
}

// pair is the content of the files.
type pair struct {
	tls.Certificate

	sum [sha256.Size]byte
}

// pairError says which file cannot be used.
type pairError struct {
	ofKey bool
	err   error
}

func (e *pairError) Error() string { return e.err.Error() }

func (e *pairError) Unwrap() error { return e.err }

// load reads the files. The error is a *pairError, and quotes neither file.
func (f pairFiles) load() (*pair, error) {
	cert, err := readAtMost(f.cert, maxPEM)
	if err != nil {
		return nil, &pairError{err: err}
	}
	key, err := readAtMost(f.key, maxPEM)
	if err != nil {
		return nil, &pairError{ofKey: true, err: err}
	}
	parsed, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// The error of crypto/tls names the wrong one only in its text.
		return nil, &pairError{ofKey: holdsCertificate(cert), err: fmt.Errorf("%s and %s: %w", f.cert, f.key, err)}
	}
	h := sha256.New()
	_, _ = h.Write(cert)
	_, _ = h.Write(key)
	return &pair{Certificate: parsed, sum: [sha256.Size]byte(h.Sum(nil))}, nil
}

// holdsCertificate reports whether the first certificate in a PEM file can be read.
func holdsCertificate(file []byte) bool {
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			_, err := x509.ParseCertificate(block.Bytes)
			return err == nil
		}
	}
	return false
}

// certificate is the certificate of a listener. It looks for a renewed one during
// handshakes and compares the content: file watchers miss the symbolic links that
// Kubernetes swaps, and modification times may be wrong.
type certificate struct {
	files pairFiles
	log   zerolog.Logger

	mu      sync.Mutex
	current *pair
	checked time.Time
	logged  string // the error of the last renewal that failed
}

// checkFilesEvery is the shortest time between two looks at the files.
const checkFilesEvery = 2 * time.Second

func openCertificate(files pairFiles, logger zerolog.Logger) (*certificate, error) {
	first, err := files.load()
	if err != nil {
		return nil, err
	}
	c := &certificate{files: files, log: logger, current: first, checked: time.Now()}
	if now := time.Now(); now.Before(first.Leaf.NotBefore) || now.After(first.Leaf.NotAfter) {
		c.log.Warn().Str("file", files.cert).Time("not_before", first.Leaf.NotBefore).Time("not_after", first.Leaf.NotAfter).
			Msg("the certificate is not valid now; clients will refuse it")
	}
	return c, nil
}

// config does not offer HTTP/2: the listener expects one request at a time on a
// connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.get().Certificate, nil },
	}
}

// get returns the certificate in the files. While they cannot be used, it returns
// the last good one: during a renewal, the files may not match.
func (c *certificate) get() *pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) < checkFilesEvery {
		return c.current
	}
	c.checked = now
	next, err := c.files.load()
	switch {
	case err != nil && err.Error() != c.logged:
		c.logged = err.Error()
		c.log.Error().Err(err).Time("not_after", c.current.Leaf.NotAfter).Msg("the renewed certificate cannot be used; the old one stays in use")
	case err == nil && next.sum != c.current.sum:
		c.current = next
		c.log.Info().Str("file", c.files.cert).Time("not_after", next.Leaf.NotAfter).Msg("the certificate was renewed")
	}
	if err == nil {
		c.logged = ""
	}
	return c.current
}

// expiry returns a metric for alerts.
func (c *certificate) expiry(listener string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "dropgate_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate of a listener expires, in seconds since 1970.",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, func() float64 { return float64(c.get().Leaf.NotAfter.Unix()) })
}

// certificates demands both files of a listener or neither, and tries to load them.
func (k checker) certificates() {
	for prefix, files := range map[string]pairFiles{"TLS": k.publicPair(), "ADMIN_TLS": k.adminPair()} {
		cert, key := prefix+"_CERT_FILE", prefix+"_KEY_FILE"
		switch {
		case files == pairFiles{} || len(k.unparsed[cert])+len(k.unparsed[key]) > 0:
		case files.key == "":
			k.fail(key, "is required with "+cert)
		case files.cert == "":
			k.fail(cert, "is required with "+key)
		default:
			_, err := files.load()
			if wrong, ok := errors.AsType[*pairError](err); ok && wrong.ofKey {
				k.fail(key, err.Error())
			} else if err != nil {
				k.fail(cert, err.Error())
			}
		}
	}
}

func (c Config) publicPair() pairFiles { return pairFiles{c.TLSCert, c.TLSKey} }

func (c Config) adminPair() pairFiles { return pairFiles{c.AdminTLSCert, c.AdminTLSKey} }

// openTLS turns TLS on for the listeners with a certificate.
func (a *App) openTLS(registry prometheus.Registerer) error {
	for _, l := range []struct {
		name, setting string
		server        *listener.Server
		files         pairFiles
	}{
		{"public", "TLS_CERT_FILE", a.public, a.config.publicPair()},
		{"admin", "ADMIN_TLS_CERT_FILE", a.admin, a.config.adminPair()},
	} {
		if l.files == (pairFiles{}) {
			continue
		}
		c, err := openCertificate(l.files, a.log.With().Str("listener", l.name).Logger())
		if err != nil {
			return fmt.Errorf("%s: %w", l.setting, err)
		}
		registry.MustRegister(c.expiry(l.name))
		l.server.UseTLS(c.config())
	}
	return nil
}
