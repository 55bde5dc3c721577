//go:build faults && series

package faults_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

// providerDown lets users sign in every three seconds. During the fault, they come back
// from the provider with a code they got before.
func providerDown(t *testing.T, w *world) *system {
	t.Helper()
	w.withRedis(t, sharedRedis(t))
	at := newSite(t, w, 1, nil)
	s := &system{replicas: at.processes}
	for _, i := range []int{0, 1, 2, 4, 5, 6} {
		s.callers = append(s.callers, at.caller(t, i))
	}
	type returning struct {
		browser  browser
		callback string
	}
	var waiting []returning
	for i := range 100 {
		b := at.browser(t)
		waiting = append(waiting, returning{b, b.authorize(t, userName(8+i%20))})
	}
	var down atomic.Bool
	t.Cleanup(repeat(3*time.Second, func() {
		if !down.Load() {
			at.browser(t).signIn(t, userName(30))
		} else if len(waiting) > 0 {
			waiting[0].browser.open(t, http.MethodGet, waiting[0].callback, "")
			waiting = waiting[1:]
		}
	}))
	s.begin = func() { down.Store(true); w.toProvider.Stop() }
	s.end = func() { w.toProvider.Start(); down.Store(false) }
	return s
}

// fewDescriptors starts the server with a low limit.
func fewDescriptors(t *testing.T, w *world) *system {
	t.Helper()
	w.server = filepath.Join(t.TempDir(), "server")
	if err := os.WriteFile(w.server, []byte("#!/bin/sh\nulimit -n 96\nexec "+binary.path+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := withDwolla(emulator.Fault{Latency: 4 * time.Second}, emulator.OpCreateClientToken)(t, w)
	s.callers = w.honest(s.replicas[0], 30)
	s.every = 4 * time.Second
	return s
}

// oldCertificate is a server with TLS. It looks for a new certificate during handshakes.
func oldCertificate(t *testing.T, w *world) *system {
	t.Helper()
	folder := t.TempDir()
	writeCertificate(t, folder, 12*time.Hour)
	p := w.start(t, map[string]string{"TLS_CERT_FILE": filepath.Join(folder, "cert"), "TLS_KEY_FILE": filepath.Join(folder, "key")})
	dialer := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(repeat(3*time.Second, func() {
		conn, err := dialer.DialContext(context.WithoutCancel(t.Context()), "tcp", p.public)
		if err != nil {
			t.Error(err)
			return
		}
		_ = conn.Close()
	}))
	return &system{replicas: []*process{p}, begin: func() {}, end: func() { writeCertificate(t, folder, 90*24*time.Hour) }}
}

// writeCertificate writes a pair that is valid for a while. Renewals replace files.
func writeCertificate(t *testing.T, folder string, validFor time.Duration) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(validFor)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"key": {Type: "PRIVATE KEY", Bytes: encoded}, "cert": {Type: "CERTIFICATE", Bytes: der}} {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(fmt.Errorf("renewing the certificate: %w", err))
		}
	}
}
