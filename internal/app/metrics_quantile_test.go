package app_test

import (
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// times are durations of calls. It is safe for concurrent use.
type times struct {
	mu  sync.Mutex
	all []time.Duration
}

func (l *times) add(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, d)
}

// quantile returns the duration of the rank that Prometheus looks for.
func (l *times) quantile(q float64) float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.all)
	return l.all[int(q*float64(len(l.all))+.999999)-1].Seconds()
}

// histogramQuantile computes a quantile from the classic buckets of /metrics as Prometheus
// does: by linear interpolation within the bucket of the rank.
func histogramQuantile(t *testing.T, q float64, metrics, series string) float64 {
	t.Helper()
	type bucket struct{ le, count float64 }
	var buckets []bucket
	for _, found := range regexp.MustCompile(regexp.QuoteMeta(series)+`,le="([^"]+)"\} (\d+)`).FindAllStringSubmatch(metrics, -1) {
		le, err := strconv.ParseFloat(found[1], 64) // also +Inf
		if err != nil {
			t.Fatal(err)
		}
		count, err := strconv.ParseFloat(found[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		buckets = append(buckets, bucket{le, count})
	}
	if len(buckets) < 3 || buckets[len(buckets)-1].count == 0 {
		t.Fatalf("%s has %d buckets", series, len(buckets))
	}
	rank := q * buckets[len(buckets)-1].count
	at := slices.IndexFunc(buckets, func(b bucket) bool { return b.count >= rank })
	before := bucket{}
	if at > 0 {
		before = buckets[at-1]
	}
	if at == len(buckets)-1 { // Prometheus, too, returns the last finite bound
		return before.le
	}
	return before.le + (buckets[at].le-before.le)*(rank-before.count)/(buckets[at].count-before.count)
}

// vendOften vends one after the other.
func (s *service) vendOften(t *testing.T, n int, took *times) {
	t.Helper()
	for range n {
		began := time.Now()
		if got := s.vend(t, "alice", readCustomer); got.status != http.StatusOK {
			t.Errorf("%d %s", got.status, got.body)
		}
		took.add(time.Since(began))
	}
}

// TestQuantileOfSlowDwollaIsCloseToTheTruth measures each call inside Dwolla and around
// the whole vend. The true duration is between the two, however busy the machine is.
func TestQuantileOfSlowDwollaIsCloseToTheTruth(t *testing.T) {
	var inside, around times
	w := newFixture(t)
	w.dwolla.Intercept(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/client-tokens") {
				next.ServeHTTP(rw, r)
				return
			}
			began := time.Now()
			<-time.After(120 * time.Millisecond)
			inside.add(time.Since(began))
			next.ServeHTTP(rw, r)
		})
	})
	s := w.start(t, nil)
	s.vend(t, "alice", naming("22222222-2222-4222-8222-222222222222")) // fetches the keys
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() { s.vendOften(t, 25, &around) })
	}
	callers.Wait()
	metrics := s.admin(t, "/metrics").body
	for _, q := range []float64{.5, .95} {
		least, most := inside.quantile(q), around.quantile(q)
		for name, series := range map[string]string{
			"Dwolla":   `dropgate_dwolla_request_duration_seconds_bucket{operation="create_client_token"`,
			"requests": `dropgate_http_request_duration_seconds_bucket{method="POST",route="/client-tokens"`,
		} {
			got := histogramQuantile(t, q, metrics, series)
			t.Logf("quantile %v of %s: %.1f ms; the truth is between %.1f and %.1f ms", q, name, got*1000, least*1000, most*1000)
			if got < .9*least || got > 1.1*most {
				t.Errorf("quantile %v of %s reads %.1f ms, want %.1f to %.1f ms and 10 %%", q, name, got*1000, least*1000, most*1000)
			}
		}
	}
}
