package customerdb_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// TestProcess is run as a separate process by the tests below. It prints "ready",
// waits for the end of its input, and works until it is killed. It prints a line after
// each acknowledged write.
func TestProcess(t *testing.T) {
	address := os.Getenv("TEST_DATABASE")
	if address == "" {
		t.Skip("run by the tests below")
	}
	first, err := strconv.Atoi(os.Getenv("TEST_FIRST_USER"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Fatal(err)
	}
	d := openAddress(t, address)
	work := linkUser
	if os.Getenv("TEST_WORK") == "webhooks" {
		work = takeWebhook
	}
	for n := first; ; n++ {
		work(t, d, n)
	}
}

// openAddress opens a PostgreSQL URL or a SQLite file.
func openAddress(t *testing.T, address string) *customerdb.Database {
	t.Helper()
	if !strings.HasPrefix(address, "postgres") {
		return openSQLite(t, address)
	}
	d := openURL(t, address)
	if err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d
}

func linkUser(t *testing.T, d *customerdb.Database, n int) {
	link(t, d, fmt.Sprint("user ", n), customerNumber(n))
	fmt.Println("linked", n)
}

// takeWebhook adds an event for user n and settles a due one. Its lease is 0, so other
// processes may settle the same event.
func takeWebhook(t *testing.T, d *customerdb.Database, n int) {
	add(t, d, strconv.Itoa(n), time.Now())
	fmt.Println("added", n)
	event, err := d.ClaimEvent(t.Context(), time.Now(), 0)
	if errors.Is(err, customerdb.ErrNoEvent) {
		return
	}
	wantError(t, err, nil)
	err = d.Settle(t.Context(), event.ID, effectOf(t, event.ID), time.Now())
	if errors.Is(err, customerdb.ErrSettled) {
		return
	}
	wantError(t, err, nil)
	fmt.Println("settled", event.ID)
}

func effectOf(t *testing.T, id string) customerdb.EventResult {
	t.Helper()
	n, err := strconv.Atoi(id)
	if err != nil {
		t.Fatal(err)
	}
	return customerdb.EventResult{CustomerID: customerNumber(n), UserID: fmt.Sprint("user ", n), Status: "verified", ChangedAt: at(0)}
}

// process is a running TestProcess and its output.
type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startProcess(t *testing.T, stdin *os.File, environment ...string) process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestProcess$")
	cmd.Env = append(os.Environ(), environment...)
	cmd.Stdin = stdin
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := process{cmd: cmd, lines: bufio.NewScanner(out)}
	if !p.lines.Scan() || p.lines.Text() != "ready" {
		t.Fatalf("the process said %q, want ready", p.lines.Text())
	}
	return p
}

// did is one printed line.
type did struct {
	verb string
	user int
}

// killAfter kills the process after n lines, and returns all lines.
func (p process) killAfter(t *testing.T, n int) []did {
	var done []did
	for p.lines.Scan() {
		var d did
		if _, err := fmt.Sscan(p.lines.Text(), &d.verb, &d.user); err != nil {
			t.Errorf("the process said %s", p.lines.Text())
			continue
		}
		if done = append(done, d); len(done) == n {
			_ = p.cmd.Process.Kill() // then read the rest
		}
	}
	_ = p.cmd.Wait() // always an error
	if len(done) < n {
		t.Errorf("the process did %d things, want %d at least", len(done), n)
	}
	return done
}

// killAtWork lets four processes create the database and work on it, kills them, and
// returns their lines.
func killAtWork(t *testing.T, address, work string) []did {
	t.Helper()
	stdin, start, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stdin.Close() }()
	var processes []process
	for i := range 4 {
		processes = append(processes, startProcess(t, stdin,
			"TEST_DATABASE="+address, "TEST_WORK="+work, fmt.Sprint("TEST_FIRST_USER=", i*1_000_000)))
	}
	if err := start.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan []did)
	for i, p := range processes {
		go func() { done <- p.killAfter(t, 25+i) }()
	}
	var all []did
	for range processes {
		all = append(all, <-done...)
	}
	if strings.HasPrefix(address, "postgres") {
		postgrestest.AwaitDisconnected(t, address)
	}
	return all
}

func TestSQLiteLosesNothingInACrash(t *testing.T) {
	t.Parallel()
	losesNothing(t, func(t *testing.T) string { return filepath.Join(t.TempDir(), "links.db") })
}

func TestPostgresLosesNothingInACrash(t *testing.T) {
	t.Parallel()
	losesNothing(t, func(t *testing.T) string { return newPostgres(t).URL })
}

func losesNothing(t *testing.T, newAddress func(*testing.T) string) {
	t.Run("links", func(t *testing.T) {
		address := newAddress(t)
		all := killAtWork(t, address, "links")
		d := openAddress(t, address)
		for _, did := range all {
			wantCustomer(t, d, fmt.Sprint("user ", did.user), customerNumber(did.user))
		}
	})
	t.Run("webhooks", func(t *testing.T) {
		address := newAddress(t)
		all := killAtWork(t, address, "webhooks")
		d := openAddress(t, address)
		settled := map[int]bool{}
		for _, did := range all {
			if did.verb != "settled" {
				continue
			}
			if settled[did.user] {
				t.Errorf("event %d was used twice", did.user)
			}
			settled[did.user] = true
		}
		settleTheRest(t, d, settled)
		for _, did := range all { // every added event has taken effect
			wantCustomer(t, d, fmt.Sprint("user ", did.user), customerNumber(did.user))
			wantStoredStatus(t, d, customerNumber(did.user), "verified")
		}
	})
}

// settleTheRest settles the events left by killed processes. None of them may have
// taken effect before.
func settleTheRest(t *testing.T, d *customerdb.Database, settled map[int]bool) {
	t.Helper()
	later := time.Now().Add(time.Hour)
	for {
		event, err := d.ClaimEvent(t.Context(), later, lease)
		if errors.Is(err, customerdb.ErrNoEvent) {
			break
		}
		wantError(t, err, nil)
		effect := effectOf(t, event.ID)
		if _, err := d.LinkedUser(t.Context(), effect.CustomerID); !errors.Is(err, customerdb.ErrNoUser) {
			t.Errorf("event %s has happened and is in the queue (error %v)", event.ID, err)
		}
		if _, err := d.Customer(t.Context(), effect.UserID); !errors.Is(err, clienttoken.ErrNoCustomer) {
			t.Errorf("event %s has happened and is in the queue (error %v)", event.ID, err)
		}
		wantError(t, d.Settle(t.Context(), event.ID, effect, later), nil)
		if n, err := strconv.Atoi(event.ID); err != nil || settled[n] {
			t.Errorf("event %s was used twice", event.ID)
		}
	}
	wantQueue(t, d, customerdb.EventBacklog{})
}
