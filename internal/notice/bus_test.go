package notice_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"dropgate/internal/notice"
	"dropgate/internal/tcpproxy"
)

func realRedis(t *testing.T) *redis.Options {
	t.Helper()
	url := os.Getenv("TEST_REDIS_URL")
	if url == "" && os.Getenv("CI") == "true" {
		t.Fatal("TEST_REDIS_URL is not set")
	} else if url == "" {
		t.Skip("TEST_REDIS_URL is not set")
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	options.DialTimeout, options.ReadTimeout, options.DialerRetries, options.MaxRetries = time.Second, time.Second, 1, 1
	return options
}

// replica is a running bus with what it has received.
type replica struct {
	*notice.Bus

	client   *redis.Client
	channel  string
	registry *prometheus.Registry
	stop     func() // ends Run and waits for it

	mu       sync.Mutex
	received []notice.Notice
	missed   int
}

// start runs a replica of the test's service.
func start(t *testing.T, options *redis.Options, secret string) *replica {
	t.Helper()
	r := &replica{client: redis.NewClient(options), channel: "dropgate:notices:" + t.Name(), registry: prometheus.NewRegistry()}
	r.Bus = notice.New(notice.Config{
		Client: r.client, Channel: r.channel, Secret: []byte(secret), Logger: zerolog.Nop(), Registerer: r.registry,
		Receive: func(n notice.Notice) { r.mu.Lock(); defer r.mu.Unlock(); r.received = append(r.received, n) },
		Missed:  func() { r.mu.Lock(); defer r.mu.Unlock(); r.missed++ },
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{})
	go func() { defer close(ended); r.Run(ctx) }()
	r.stop = sync.OnceFunc(func() { cancel(); <-ended; _ = r.client.Close() })
	t.Cleanup(r.stop)
	return r
}

func (r *replica) state() (received []notice.Notice, missed int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]notice.Notice(nil), r.received...), r.missed
}

// series returns the value of a metric.
func (r *replica) series(t *testing.T, name, outcome string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (outcome == "" || m.GetLabel()[0].GetValue() == outcome) {
				return m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no %s %s", name, outcome)
	return 0
}

func (r *replica) count(t *testing.T, outcome string) float64 {
	t.Helper()
	return r.series(t, "dropgate_notices_total", outcome)
}

func (r *replica) subscribed(t *testing.T) {
	t.Helper()
	until(t, "the subscription", func() bool {
		_, missed := r.state()
		return r.series(t, "dropgate_notices_subscribed", "") == 1 && missed > 0
	})
}

func until(t *testing.T, what string, good func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !good(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s does not come true", what)
		}
	}
}

var ann = notice.Notice{Topic: "user", Name: "ann@example.com"}

func TestNoticeReachesAllOtherReplicas(t *testing.T) {
	options := realRedis(t)
	one, two, three := start(t, options, "s"), start(t, options, "s"), start(t, options, "s")
	for _, r := range []*replica{one, two, three} {
		r.subscribed(t)
	}
	one.Send(ann)
	for _, r := range []*replica{two, three} {
		until(t, "the notice", func() bool { got, _ := r.state(); return len(got) == 1 && got[0] == ann })
	}
	two.Send(notice.Notice{Topic: "session", Name: "x"}) // after it, one has seen its own
	until(t, "the notice", func() bool { got, _ := one.state(); return len(got) == 1 && got[0].Topic == "session" })
}

func TestPublishedNoticeShowsNothing(t *testing.T) {
	options := realRedis(t)
	one := start(t, options, "s")
	one.subscribed(t)
	spy := one.client.Subscribe(t.Context(), one.channel)
	defer func() { _ = spy.Close() }()
	if _, err := spy.Receive(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen, sizes := map[string]bool{}, map[int]bool{}
	for _, n := range []notice.Notice{ann, ann, {Topic: "user", Name: "b"}, {Topic: "customer", Name: "11111111-1111-4111-8111-111111111111"}} {
		one.Send(n)
		got, err := spy.ReceiveMessage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(got.Payload, "ann") || strings.Contains(got.Payload, n.Topic) || strings.Contains(got.Payload, "1111") {
			t.Errorf("the message shows %v", n)
		}
		seen[got.Payload], sizes[len(got.Payload)] = true, true
	}
	if len(seen) != 4 || len(sizes) != 1 {
		t.Errorf("%d different messages in %d sizes, want 4 in 1", len(seen), len(sizes))
	}
}

// A forged or foreign message only asks to drop caches, and not often.
func TestForgedNoticesOnlyDropCaches(t *testing.T) {
	options := realRedis(t)
	one := start(t, options, "s")
	one.subscribed(t)
	_, before := one.state()
	begun := time.Now()
	const forged = 2000 // 5 MB, since Redis disconnects a subscriber that is 8 MB behind
	pipe := one.client.Pipeline()
	for i := range forged {
		pipe.Publish(t.Context(), one.channel, []string{"", "junk", "\x00user\x00ann", strings.Repeat("x", 10_000)}[i%4])
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "the forged notices", func() bool { return one.count(t, "unreadable") == forged })
	until(t, "a drop", func() bool { _, missed := one.state(); return missed > before })
	got, missed := one.state()
	if most := before + 2 + int(time.Since(begun)/(250*time.Millisecond)); len(got) != 0 || missed > most {
		t.Errorf("%d notices received and %d drops, want none and at most %d", len(got), missed, most)
	}
}

// During a rotation replicas have different secrets.
func TestReplicaWithAnotherSecretDropsItsCaches(t *testing.T) {
	options := realRedis(t)
	one, two := start(t, options, "old"), start(t, options, "new")
	one.subscribed(t)
	two.subscribed(t)
	_, before := two.state()
	one.Send(ann)
	until(t, "a drop", func() bool { _, missed := two.state(); return missed > before })
	if got, _ := two.state(); len(got) != 0 {
		t.Errorf("received %v", got)
	}
}

// Replicas take over a new secret one after the other. Both know both meanwhile.
func TestRotationOfTheSecretLosesNoNotice(t *testing.T) {
	options := realRedis(t)
	one, two := start(t, options, "old"), start(t, options, "old")
	one.subscribed(t)
	two.subscribed(t)
	replicas := []*replica{one, two}
	for n, secrets := range [][][]byte{{[]byte("old"), []byte("new")}, {[]byte("new"), []byte("old")}, {[]byte("new")}} {
		for i, rotating := range replicas {
			rotating.Rotate(secrets...)
			sent := notice.Notice{Topic: "user", Name: fmt.Sprint(n, i)}
			one.Send(sent)
			until(t, "the notice", func() bool { got, _ := two.state(); return len(got) == 2*n+i+1 && got[2*n+i] == sent })
			two.Send(sent)
			until(t, "the notice", func() bool { got, _ := one.state(); return len(got) == 2*n+i+1 && got[2*n+i] == sent })
		}
	}
	if n := one.count(t, "unreadable") + two.count(t, "unreadable"); n != 0 {
		t.Errorf("%v unreadable notices", n)
	}
	stranger := start(t, options, "old")
	stranger.subscribed(t)
	stranger.Send(ann)
	until(t, "a notice with the removed secret", func() bool { return one.count(t, "unreadable") == 1 })
}

// behind starts a replica whose connections go through a proxy.
func behind(t *testing.T) (*replica, *tcpproxy.Proxy) {
	t.Helper()
	options := realRedis(t)
	proxy := tcpproxy.New(t, options.Addr)
	options.Addr = proxy.Addr
	return start(t, options, "s"), proxy
}

func TestEachNewSubscriptionMayHaveMissedNotices(t *testing.T) {
	for name, breaks := range map[string]func(p *tcpproxy.Proxy){
		"closed": func(p *tcpproxy.Proxy) { p.Stop() },
		"silent": func(p *tcpproxy.Proxy) { p.Fail(tcpproxy.Fault{Hang: true}) },
	} {
		t.Run(name, func(t *testing.T) {
			one := start(t, realRedis(t), "s")
			two, proxy := behind(t)
			one.subscribed(t)
			two.subscribed(t)
			breaks(proxy)
			until(t, "the end of the subscription", func() bool { return two.series(t, "dropgate_notices_subscribed", "") == 0 })
			_, before := two.state()
			one.Send(ann)
			until(t, "a notice", func() bool { return one.count(t, "sent") == 1 })
			proxy.Heal()
			proxy.Start()
			until(t, "a drop", func() bool { _, missed := two.state(); return missed > before })
		})
	}
}

// The others stay subscribed while this replica cannot send.
func TestSenderMakesUpForItsOutage(t *testing.T) {
	one, proxy := behind(t)
	two := start(t, realRedis(t), "s")
	one.subscribed(t)
	two.subscribed(t)
	proxy.Stop()
	for i := range 3000 { // more than wait
		one.Send(notice.Notice{Topic: "user", Name: fmt.Sprint(i)})
	}
	until(t, "a failure", func() bool { return one.count(t, "failed") > 0 })
	_, before := two.state()
	proxy.Start()
	until(t, "a drop", func() bool { _, missed := two.state(); return missed > before })
	if got, _ := two.state(); len(got) != 0 {
		t.Errorf("%d notices came as well", len(got))
	}
	one.Send(ann)
	until(t, "the next notice", func() bool { got, _ := two.state(); return len(got) == 1 && got[0] == ann })
}

func TestOversizedNoticeBecomesADrop(t *testing.T) {
	one, two := start(t, realRedis(t), "s"), start(t, realRedis(t), "s")
	one.subscribed(t)
	two.subscribed(t)
	_, before := two.state()
	one.Send(notice.Notice{Topic: "user", Name: strings.Repeat("x", 1<<20)})
	until(t, "a drop", func() bool { _, missed := two.state(); return missed > before })
}

func TestLastNoticesLeaveBeforeTheEnd(t *testing.T) {
	one, two := start(t, realRedis(t), "s"), start(t, realRedis(t), "s")
	one.subscribed(t)
	two.subscribed(t)
	for range 100 {
		one.Send(ann)
	}
	one.stop()
	until(t, "all notices", func() bool { got, _ := two.state(); return len(got) == 100 })
}

func TestSendNeverWaitsForRedis(t *testing.T) {
	addr := tcpproxy.FreeAddr(t)
	one := start(t, &redis.Options{Addr: addr, DialTimeout: time.Second, DialerRetries: 1, MaxRetries: -1}, "s")
	for range 100_000 {
		one.Send(ann)
	}
	until(t, "a failure", func() bool { return one.count(t, "failed") > 0 })
	(*notice.Bus)(nil).Send(ann) // without Redis
}

func TestNoticeSeriesExistFromTheStart(t *testing.T) {
	registry := prometheus.NewRegistry()
	notice.New(notice.Config{Secret: []byte("s"), Registerer: registry})
	if n, err := testutil.GatherAndCount(registry, "dropgate_notices_total", "dropgate_notices_subscribed"); n != 5 || err != nil {
		t.Errorf("%d series, error %v, want 5", n, err)
	}
}
