package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

// file is a file in memory, with a user of its content.
type file struct {
	mu      sync.Mutex // for all but metrics and watcher
	content string
	readErr error
	used    []string
	useErr  error

	log     bytes.Buffer
	metrics *prometheus.Registry
	watcher *rotation.Watcher
}

// newFile starts a watcher for a file with the content "old".
func newFile(t *testing.T) *file {
	t.Helper()
	f := &file{content: "old", metrics: prometheus.NewRegistry()}
	f.watcher = rotation.NewWatcher(rotation.Config{
		Files: []rotation.File{{
			Setting: "TOKEN",
			InForce: secret("old"),
			Read: func() (clienttoken.Secret, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				if f.readErr != nil {
					return clienttoken.Secret{}, f.readErr
				}
				return secret(f.content), nil
			},
			Use: func(_ context.Context, content clienttoken.Secret) error {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.used = append(f.used, content.Reveal())
				return f.useErr
			},
		}},
		Logger: zerolog.New(f), Registerer: f.metrics,
	})
	go f.watcher.Run(t.Context())
	return f
}

// Write implements io.Writer for the log.
func (f *file) Write(line []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.log.Write(line)
}

// uses returns the contents used so far.
func (f *file) uses() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.used)
}

// set changes the file.
func (f *file) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// looks lets the watcher look n times.
func looks(n int) {
	time.Sleep(time.Duration(n)*2*time.Second + time.Millisecond) // of the bubble
	synctest.Wait()
}

func (f *file) want(t *testing.T, used []string, errorLines int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.used, used) {
		t.Errorf("used %q, want %q", f.used, used)
	}
	if got := strings.Count(f.log.String(), `"level":"error"`); got != errorLines {
		t.Errorf("%d error lines, want %d:\n%s", got, errorLines, f.log.String())
	}
	if strings.Contains(f.log.String(), "hunter2") {
		t.Errorf("the log shows a value: %s", f.log.String())
	}
}

func (f *file) failures(t *testing.T) float64 {
	t.Helper()
	all, err := f.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == "dropgate_secret_reload_failures_total" {
			return m.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatal("no series before the first failure")
	return 0
}

func TestNewContentIsUsedOnceItIsComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		looks(2)
		f.want(t, nil, 0)
		f.set(func() { f.content = "hunt" })
		looks(1)
		f.set(func() { f.content = "hunter2" }) // the writer goes on
		looks(1)
		f.want(t, nil, 0)
		looks(1)
		f.want(t, []string{"hunter2"}, 0)
		looks(5)
		f.want(t, []string{"hunter2"}, 0)
		if f.failures(t) != 0 {
			t.Error("a failure is counted")
		}
	})
}

func TestReloadUsesANewContentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		f.set(func() { f.content = "hunter2" })
		f.watcher.Reload()
		f.watcher.Reload() // a second signal
		synctest.Wait()
		f.want(t, []string{"hunter2"}, 0)
	})
}

func TestUnreadableFileIsLoggedOnceAndCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		f.set(func() { f.readErr = errors.New("is empty") })
		looks(1)
		f.want(t, nil, 0) // it may be in the middle of a replacement
		looks(10)
		f.want(t, nil, 1)
		if got := f.failures(t); got != 10 {
			t.Errorf("%v failures, want one per look", got)
		}
		f.set(func() { f.readErr = nil })
		looks(2)
		f.want(t, nil, 1)
		if !strings.Contains(f.log.String(), "in force again") {
			t.Errorf("no line says that it is over:\n%s", f.log.String())
		}
		f.set(func() { f.readErr = errors.New("is empty") })
		looks(2)
		f.want(t, nil, 2)
	})
}

func TestUnusableContentIsTriedAgainEverLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		f.set(func() { f.content, f.useErr = "hunter2", errors.New("the peer refuses it") })
		time.Sleep(10 * time.Minute) // of the bubble
		synctest.Wait()
		if n := len(f.uses()); n < 10 || n > 17 {
			t.Errorf("%d attempts in ten minutes", n)
		}
		f.want(t, f.uses(), 1)
		f.set(func() { f.content = "hunter2 too" }) // does not wait
		before := len(f.uses())
		looks(2)
		if len(f.uses()) != before+1 {
			t.Errorf("%d attempts with the next content", len(f.uses())-before)
		}
		f.set(func() { f.content, f.useErr = "old", nil })
		looks(2)
		if last := f.uses()[len(f.uses())-1]; last != "old" {
			t.Errorf("after a return to the old content, %q is in use", last)
		}
		before = len(f.uses())
		looks(10)
		if len(f.uses()) != before {
			t.Error("the old content is used again and again")
		}
	})
}

func TestTimeOfTheLastGoodReloadIsAMetric(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFile(t)
		f.set(func() { f.content = "hunter2" })
		looks(10)
		want := "# HELP dropgate_secret_reload_timestamp_seconds When the present value of a secret's file came into force, in seconds since 1970, by setting.\n" +
			"# TYPE dropgate_secret_reload_timestamp_seconds gauge\n" +
			"dropgate_secret_reload_timestamp_seconds{setting=\"TOKEN\"} 9.46684804e+08\n"
		if err := testutil.GatherAndCompare(f.metrics, strings.NewReader(want), "dropgate_secret_reload_timestamp_seconds"); err != nil {
			t.Error(err)
		}
	})
}
