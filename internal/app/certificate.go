package app

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/listener"
	"dropgate/internal/rotation"
)

// maxPEM bounds a file with a certificate chain or a key, in bytes.
const maxPEM = 1 << 20

// pairFiles are the files of a certificate chain and of its key, in PEM.
type pairFiles struct {
	cert, key string
}

// pairError says which file cannot be used.
type pairError struct {
	ofKey bool
	err   error
}

func (e *pairError) Error() string { return e.err.Error() }

func (e *pairError) Unwrap() error { return e.err }

// read returns the content of both files. The error is a *pairError.
func (f pairFiles) read() (clienttoken.Secret, error) {
	cert, err := readAtMost(f.cert, maxPEM)
	if err != nil {
		return clienttoken.Secret{}, &pairError{err: err}
	}
	key, err := readAtMost(f.key, maxPEM)
	if err != nil {
		return clienttoken.Secret{}, &pairError{ofKey: true, err: err}
	}
	return clienttoken.NewSecret(string(cert) + betweenFiles + string(key)), nil
}

// betweenFiles separates the two files in one content. No PEM has it.
const betweenFiles = "\x00"

// parse parses the content of both files. The error is a *pairError, and quotes neither
// file.
func (f pairFiles) parse(content clienttoken.Secret) (*tls.Certificate, error) {
	cert, key, _ := strings.Cut(content.Reveal(), betweenFiles)
	parsed, err := tls.X509KeyPair([]byte(cert), []byte(key))
	if err != nil {
		// The error of crypto/tls names the wrong one only in its text.
		return nil, &pairError{ofKey: holdsCertificate([]byte(cert)), err: fmt.Errorf("%s and %s: %w", f.cert, f.key, err)}
	}
	return &parsed, nil
}

// check reads and parses the files.
func (f pairFiles) check() error {
	content, err := f.read()
	if err == nil {
		_, err = f.parse(content)
	}
	return err
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

// certificate is the certificate of a listener. A renewed one replaces it like a secret
// (see [rotation.Watcher]).
type certificate struct {
	files   pairFiles
	current atomic.Pointer[tls.Certificate]
}

// open loads the files, and returns them for a watcher.
func (c *certificate) open(setting string) (rotation.File, error) {
	content, err := c.files.read()
	if err == nil {
		err = c.use(content)
	}
	return rotation.File{
		Setting: setting,
		InForce: content,
		Read: func() (clienttoken.Secret, error) {
			content, err := c.files.read()
			return content, notRenewed(err)
		},
		Use: func(_ context.Context, content clienttoken.Secret) error { return notRenewed(c.use(content)) },
	}, err
}

func (c *certificate) use(content clienttoken.Secret) error {
	next, err := c.files.parse(content)
	if err == nil {
		c.current.Store(next)
	}
	return err
}

// notRenewed says what an error is about. During a renewal, the files may not match.
func notRenewed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the renewed certificate cannot be used: %w", err)
}

// config does not offer HTTP/2: the listener expects one request at a time on a
// connection.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current.Load(), nil },
	}
}

// expiry returns a metric for alerts.
func (c *certificate) expiry(listener string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "dropgate_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate of a listener expires, in seconds since 1970.",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, func() float64 { return float64(c.current.Load().Leaf.NotAfter.Unix()) })
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
			err := files.check()
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

// openTLS turns TLS on for the listeners with a certificate, and returns the files to
// watch.
func (a *App) openTLS(registry prometheus.Registerer) ([]rotation.File, error) {
	var watched []rotation.File
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
		c := &certificate{files: l.files}
		file, err := c.open(l.setting)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.setting, err)
		}
		a.warnOfExpiry(l.name, c)
		registry.MustRegister(c.expiry(l.name))
		l.server.UseTLS(c.config())
		watched = append(watched, file)
	}
	return watched, nil
}

// warnOfExpiry warns of a certificate that clients refuse now.
func (a *App) warnOfExpiry(listener string, c *certificate) {
	now, leaf := time.Now(), c.current.Load().Leaf
	if now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		a.log.Warn().Str("listener", listener).Str("file", c.files.cert).Time("not_before", leaf.NotBefore).Time("not_after", leaf.NotAfter).
			Msg("the certificate is not valid now; clients will refuse it")
	}
}
