//go:build faults

package faults_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/dwolla"
)

// volume is a folder that changes like a Secret volume of Kubernetes: each file is a
// symbolic link through ..data, and a change swaps ..data.
type volume struct {
	dir   string
	files map[string]string
	turn  int
}

func (v *volume) path(name string) string { return filepath.Join(v.dir, name) }

// put changes one file of the volume.
func (v *volume) put(t *testing.T, name, content string) {
	t.Helper()
	v.files[name] = content
	v.turn++
	next := fmt.Sprintf("..turn_%d", v.turn)
	steps := []error{os.Mkdir(v.path(next), 0o700)}
	for file, text := range v.files {
		steps = append(steps, os.WriteFile(filepath.Join(v.dir, next, file), []byte(text+"\n"), 0o600))
		if _, err := os.Lstat(v.path(file)); err != nil {
			steps = append(steps, os.Symlink(filepath.Join("..data", file), v.path(file)))
		}
	}
	steps = append(steps, os.Symlink(next, v.path("..data_tmp")), os.Rename(v.path("..data_tmp"), v.path("..data")))
	if v.turn > 1 {
		steps = append(steps, os.RemoveAll(v.path(fmt.Sprintf("..turn_%d", v.turn-1))))
	}
	for _, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// rotationLoad sends requests in a loop, and notes each unexpected answer.
type rotationLoad struct {
	stopped chan struct{}
	calling sync.WaitGroup

	mu       sync.Mutex
	answered int
	failed   []string
}

func (l *rotationLoad) send(what string, every time.Duration, request func() (*http.Request, error)) {
	l.sendBy(&http.Transport{}, what, every, request)
}

// sendBy sends like send, with another transport.
func (l *rotationLoad) sendBy(by http.RoundTripper, what string, every time.Duration, request func() (*http.Request, error)) {
	l.calling.Go(func() {
		client := &http.Client{Transport: by, Timeout: 20 * time.Second}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				l.once(what, client, request)
			case <-l.stopped:
				return
			}
		}
	})
}

func (l *rotationLoad) once(what string, client *http.Client, request func() (*http.Request, error)) {
	r, err := request()
	var status int
	var body []byte
	if err == nil {
		var resp *http.Response
		if resp, err = client.Do(r); err == nil {
			status = resp.StatusCode
			body, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered++
	if err != nil || status/100 != 2 {
		l.failed = append(l.failed, fmt.Sprintf("%s %s: %d %.200s %v", time.Now().Format("15:04:05.000"), what, status, body, err))
	}
}

// rotation is two replicas whose secrets come from a volume.
type rotation struct {
	w        *world
	volume   *volume
	replicas []*process
	load     *rotationLoad
	changes  map[string]int // by setting
}

// newRotation makes the volume with a file X for each setting X_FILE, and adds these
// settings.
func newRotation(t *testing.T, w *world, settings, files map[string]string) *rotation {
	t.Helper()
	r := &rotation{w: w, volume: &volume{dir: t.TempDir(), files: map[string]string{}}, load: &rotationLoad{stopped: make(chan struct{})}, changes: map[string]int{}}
	for name, content := range files {
		settings[name], settings[name+"_FILE"] = "", r.volume.path(name)
		r.volume.put(t, name, content)
	}
	return r
}

// put changes a file, and waits until both replicas use it.
func (r *rotation) put(t *testing.T, setting string, values ...string) {
	t.Helper()
	r.volume.put(t, setting, strings.Join(values, "\n"))
	r.changes[setting]++
	waitFor(t, "both replicas use the new "+setting, 20*time.Second, func() bool {
		return !slices.ContainsFunc(r.replicas, func(p *process) bool { return inForce(p, setting) < r.changes[setting] })
	})
}

// inForce counts the changes of a setting that a replica has logged.
func inForce(p *process, setting string) int {
	n := 0
	for line := range strings.Lines(p.stdout.String()) {
		if strings.Contains(line, "is in force") && strings.Contains(line, `"`+setting+`"`) {
			n++
		}
	}
	return n
}

// finish ends the load and checks it.
func (r *rotation) finish(t *testing.T) {
	t.Helper()
	close(r.load.stopped)
	r.load.calling.Wait()
	t.Logf("%d requests, %d failed", r.load.answered, len(r.load.failed))
	for _, fault := range r.load.failed[:min(len(r.load.failed), 10)] {
		t.Error(fault)
	}
	if r.load.answered < 500 {
		t.Errorf("inconclusive: only %d requests", r.load.answered)
	}
	for _, p := range r.replicas {
		if !p.running() {
			t.Error("a replica has ended")
		}
	}
}

func post(address, path, body string, header http.Header) (*http.Request, error) {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	r.Header.Set("Content-Type", "application/json")
	return r, nil
}

// TestSecretsRotateUnderLoadWithoutAFailure changes every secret that another system
// shares, by the steps of docs/rotation.md.
func TestSecretsRotateUnderLoadWithoutAFailure(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withPostgres(t)
	w.withRedis(t, sharedRedis(t))
	peers := newPeers(t, w)
	settings := map[string]string{
		"AUTH_MODES": "proxy,bearer", "TRUSTED_PROXIES": "127.0.0.1", "CUSTOMER_CACHE": "0s",
		"CUSTOMER_SOURCE": "lookup", "CUSTOMER_LOOKUP_URL": "http://" + peers.application + "/users/{user}",
	}
	r := newRotation(t, w, settings, map[string]string{
		"DWOLLA_CLIENT_SECRET": peers.dwolla.value(), "AUTH_PROXY_SECRET": peers.proxy.value(), "CUSTOMER_LOOKUP_TOKEN": peers.lookup.value(),
		"DWOLLA_WEBHOOK_SECRET": peers.webhook.value(), "REDIS_URL": peers.redisURL(), "DATABASE_URL": peers.databaseURL(0),
	})
	r.replicas = []*process{w.start(t, settings), w.start(t, settings)}
	for i, p := range r.replicas {
		bearer := http.Header{"Authorization": {"Bearer " + w.users[i].bearer}}
		r.load.send("a bearer's vend", 20*time.Millisecond, func() (*http.Request, error) {
			return post(p.public, "/client-tokens", `{"action":"customer.read"}`, bearer.Clone())
		})
		r.load.send("a vend through the proxy", 20*time.Millisecond, func() (*http.Request, error) {
			return post(p.public, "/client-tokens", `{"action":"customer.read"}`, http.Header{
				"X-Forwarded-User": {userName(i + 2)}, "X-Proxy-Secret": {peers.proxy.value()}, "Sec-Fetch-Site": {"same-origin"},
			})
		})
		sent := 0
		r.load.send("a webhook", 50*time.Millisecond, func() (*http.Request, error) {
			sent++
			body := fmt.Sprintf(`{"id":"replica-%d-event-%d","topic":"customer_verified","resourceId":%q,"created":"2026-01-01T00:00:00Z"}`, i, sent, w.users[i].customer)
			return post(p.public, "/webhooks/dwolla", body, http.Header{http.CanonicalHeaderKey(dwolla.SignatureHeader): {signature(peers.webhook.value(), body)}})
		})
	}
	for setting, peer := range map[string]*peer{
		"DWOLLA_CLIENT_SECRET": &peers.dwolla, "CUSTOMER_LOOKUP_TOKEN": &peers.lookup, "AUTH_PROXY_SECRET": &peers.proxy, "DWOLLA_WEBHOOK_SECRET": &peers.webhook,
	} {
		before, next := peer.value(), w.secret("the next "+setting)
		r.put(t, setting, before, next)
		peer.accepted.Store(&next)
		r.put(t, setting, next)
	}
	peers.rotateDatabase(t, r)
	peers.rotateRedis(t, r)
	r.finish(t)
}

func signature(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}
