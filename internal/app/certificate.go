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

// pair is what was in the files.
type pair struct {
	tls.Certificate

	sum [sha256.Size]byte
}

// pairError says which of the files cannot be used.
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
		// crypto/tls says in words alone which one is wrong.
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

// certificate is that of a listener. It notices a renewed one during handshakes:
// no watcher sees through the links that Kubernetes swaps, and a file's content
// does not lie, as its time may.
type certificate struct {
	files pairFiles
	log   zerolog.Logger

	mu      sync.Mutex
	current *pair
	checked time.Time
	told    string // why the last renewal failed
}

// checkFilesEvery is how old a look at the files is at most when it is trusted.
const checkFilesEvery = 2 * time.Second

func openCertificate(files pairFiles, logger zerolog.Logger) (*certificate, error) {
	first, err := files.load()
	if err != nil {
		return nil, err
	}
	c := &certificate{files: files, log: logger, current: first, checked: time.Now()}
	if now := time.Now(); now.Before(first.Leaf.NotBefore) || now.After(first.Leaf.NotAfter) {
		c.log.Warn().Str("file", files.cert).Time("not_before", first.Leaf.NotBefore).Time("not_after", first.Leaf.NotAfter).
			Msg("the certificate is not valid now: clients will refuse it")
	}
	return c, nil
}

// config is for a listener. HTTP/2 is not offered: the drain follows connections
// with one request at a time.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.get().Certificate, nil },
	}
}

// get returns the certificate in the files, or the last good one while they
// cannot be used: during a renewal one file may be older than the other.
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
	case err != nil && err.Error() != c.told:
		c.told = err.Error()
		c.log.Error().Err(err).Time("not_after", c.current.Leaf.NotAfter).Msg("the renewed certificate cannot be used, and the old one stays")
	case err == nil && next.sum != c.current.sum:
		c.current = next
		c.log.Info().Str("file", c.files.cert).Time("not_after", next.Leaf.NotAfter).Msg("the certificate was renewed")
	}
	if err == nil {
		c.told = ""
	}
	return c.current
}

// expiry is for an alert.
func (c *certificate) expiry(listener string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "dropgate_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate of a listener ends, in seconds since 1970.",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, func() float64 { return float64(c.get().Leaf.NotAfter.Unix()) })
}

// checkTLS demands that each listener has both files or none, and that they can be
// used.
func (f faults) checkTLS(c *Config) {
	for prefix, files := range map[string]pairFiles{"TLS": c.publicPair(), "ADMIN_TLS": c.adminPair()} {
		cert, key := prefix+"_CERT_FILE", prefix+"_KEY_FILE"
		switch {
		case files == pairFiles{} || len(f[cert])+len(f[key]) > 0:
		case files.key == "":
			f.add(key, "is required with "+cert)
		case files.cert == "":
			f.add(cert, "is required with "+key)
		default:
			_, err := files.load()
			if wrong, ok := errors.AsType[*pairError](err); ok && wrong.ofKey {
				f.add(key, err.Error())
			} else if err != nil {
				f.add(cert, err.Error())
			}
		}
	}
}

func (c *Config) publicPair() pairFiles { return pairFiles{c.TLSCert, c.TLSKey} }

func (c *Config) adminPair() pairFiles { return pairFiles{c.AdminTLSCert, c.AdminTLSKey} }

// openTLS has the listeners speak TLS that have a certificate.
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
