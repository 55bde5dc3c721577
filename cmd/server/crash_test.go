package main_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/dwolla/emulator"
)

const webhookSecret = "the-very-secret-of-the-webhooks"

// buildServer builds the real binary.
func buildServer(t *testing.T, flags ...string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "server")
	build := exec.CommandContext(t.Context(), "go", append(append([]string{"build"}, flags...), "-o", binary, ".")...)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// victim is a running server to be killed.
type victim struct {
	*exec.Cmd

	url string
}

func startVictim(t *testing.T, binary, database string) victim {
	t.Helper()
	v := victim{Cmd: exec.CommandContext(t.Context(), binary)}
	v.Env = append(os.Environ(),
		"DWOLLA_ENVIRONMENT=sandbox", "DWOLLA_CLIENT_ID=key", "DWOLLA_CLIENT_SECRET=secret", "DWOLLA_BASE_URL=http://127.0.0.1:1",
		"ALLOWED_ACTIONS=customer.read", "AUTH_MODES=bearer", "AUTH_BEARER_ISSUER=http://127.0.0.1:1", "AUTH_BEARER_AUDIENCE=dropgate",
		"CUSTOMER_SOURCE=database", "DATABASE_URL=sqlite:"+database, "DWOLLA_WEBHOOK_SECRET="+webhookSecret,
		"HTTP_ADDR=127.0.0.1:0", "ADMIN_ADDR=127.0.0.1:0",
	)
	stdout, err := v.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	var listening struct {
		HTTPAddr string `json:"http_addr"`
	}
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &listening) != nil || listening.HTTPAddr == "" {
		t.Fatalf("first line %q", lines.Text())
	}
	v.url = "http://" + listening.HTTPAddr + "/webhooks/dwolla"
	go func() {
		for lines.Scan() { // or the pipe fills, and the server waits
		}
	}()
	return v
}

// storm sends signed webhooks, each suspending another Customer, until the server
// is killed. It returns the Customers of acknowledged webhooks.
func (v victim) storm(ctx context.Context, from int) (acknowledged []string) {
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for n := from; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("%08x-0000-4000-8000-000000000000", n)
		body := fmt.Sprintf(`{"id":"event-%d","topic":"customer_suspended","resourceId":%q,"created":%q}`,
			n, id, time.Now().UTC().Format(time.RFC3339Nano))
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, strings.NewReader(body))
		if err != nil {
			return acknowledged
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Request-Signature-SHA-256", emulator.Sign(webhookSecret, body))
		resp, err := client.Do(r)
		if err != nil {
			return acknowledged
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			acknowledged = append(acknowledged, id)
		}
	}
	return acknowledged
}

// TestKilledServerLosesNoAcknowledgedWebhook kills the real binary at
// random points while webhooks pour in.
func TestKilledServerLosesNoAcknowledgedWebhook(t *testing.T) {
	binary, database := buildServer(t), filepath.Join(t.TempDir(), "links.db")
	var acknowledged []string
	const rounds, senders = 8, 10
	for round := range rounds {
		server := startVictim(t, binary, database)
		var mu sync.Mutex
		var sending sync.WaitGroup
		for sender := range senders {
			sending.Go(func() {
				got := server.storm(t.Context(), round<<24|sender<<16)
				mu.Lock()
				defer mu.Unlock()
				acknowledged = append(acknowledged, got...)
			})
		}
		<-time.After(time.Duration(20+rand.IntN(300)) * time.Millisecond) // the random point
		_ = server.Process.Kill()
		_ = server.Wait() // killed: an error in any case
		sending.Wait()
	}
	if len(acknowledged) < 100 {
		t.Fatalf("only %d webhooks were acknowledged", len(acknowledged))
	}
	store, err := customerdb.OpenSQLite(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	endLeases(t, store)
	server := startVictim(t, binary, database)
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	drained(t, store)
	lost := 0
	for _, id := range acknowledged {
		if status, err := store.Status(t.Context(), id); status != "suspended" || err != nil {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged webhooks are lost", lost, len(acknowledged))
	}
	t.Logf("%d webhooks were acknowledged, and none is lost", len(acknowledged))
}

// drained waits until no webhook waits any more.
func drained(t *testing.T, store *customerdb.Database) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		queue, err := store.Backlog(t.Context())
		if err == nil && queue.Depth == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d webhooks still wait, error %v", queue.Depth, err)
		}
		<-time.After(50 * time.Millisecond) // the database is the server's, too
	}
}

// endLeases lets leases expire, as a minute would.
func endLeases(t *testing.T, store *customerdb.Database) {
	t.Helper()
	for {
		held, err := store.ClaimEvent(t.Context(), time.Now().Add(5*time.Minute), time.Hour)
		if errors.Is(err, customerdb.ErrNoEvent) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := store.PostponeEvent(context.WithoutCancel(t.Context()), held.ID, time.Now()); err != nil {
				t.Error(err)
			}
		}()
	}
}
