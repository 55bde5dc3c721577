package listener

import (
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

func TestLongestIdleConnectionIsEvicted(t *testing.T) {
	f := start(t, 3, answer)
	first := f.open(t, request)
	second := f.open(t, "")
	third := f.open(t, request)
	expect(t, first, statusOK)
	expect(t, third, statusOK)
	f.waitForIdle(t, 3)
	send(t, first, request) // now the second one has been idle for the longest
	f.eventually(t, "the second connection has waited for the longest", func() bool {
		c, ok := f.connections.waiting.Front().Value.(*conn)
		return ok && c.RemoteAddr().String() == second.LocalAddr().String() && f.connections.waiting.Len() == 3
	})
	expect(t, f.open(t, request), statusOK)
	_ = second.SetReadDeadline(time.Now().Add(2 * time.Second)) // less than the timeout of its header
	if _, err := second.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the longest idle connection is still open")
	}
	send(t, first, request)
	send(t, third, request)
	f.waitForIdle(t, 3)
}

// TestRequestUnderWayIsNotEvicted fills the server with requests. A further
// connection is refused.
func TestRequestUnderWayIsNotEvicted(t *testing.T) {
	const withBody = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
	overBoth(t, func(t *testing.T, start starter) {
		h, b := blocking()
		f := start(t, 2, h)
		busy := []net.Conn{f.open(t, request), f.open(t, withBody)}
		<-b.begun
		<-b.begun
		if _, err := f.dial(t).Read(make([]byte, 1)); err == nil {
			t.Error("a third connection is served")
		}
		close(b.release)
		for _, c := range busy {
			expect(t, c, statusOK)
		}
	})
}

// TestSlowClientIsEvicted has more slow clients than connections. A client with a
// request still gets in.
func TestSlowClientIsEvicted(t *testing.T) {
	const slowBody = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx"
	const slowChunks = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx"
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		slow    string
	}{
		"body that is read":     {readBody, slowBody},
		"body that is not read": {refuse, slowBody},
		"chunks":                {readBody, slowChunks},
		"header":                {refuse, "GET / HTTP/1.1\r\nX-Slow: "},
		"answer never read":     {writeForever, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, start starter) {
				f := start(t, 2, func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPost || r.URL.Path == "/slow" {
						test.handler(w, r)
					}
				})
				for range 3 {
					f.linger(t, test.slow)
				}
				expect(t, f.open(t, request), statusOK)
			})
		})
	}
}

func TestSlowHandshakeIsEvicted(t *testing.T) {
	for name, linger := range map[string]func(*testing.T, *fixture){
		"nothing sent":     func(t *testing.T, f *fixture) { t.Helper(); f.dial(t) },
		"part of a record": func(t *testing.T, f *fixture) { t.Helper(); send(t, f.dial(t), "\x16\x03\x01\x02") },
		"only a handshake": func(t *testing.T, f *fixture) { t.Helper(); f.open(t, "") },
	} {
		t.Run(name, func(t *testing.T) {
			f := startTLS(t, 2, answer)
			for range 3 {
				linger(t, f)
			}
			expect(t, f.open(t, request), statusOK)
		})
	}
}

func TestUnreadBodyLeavesNothingBehind(t *testing.T) {
	f := start(t, 10, refuse)
	c := f.open(t, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
	expect(t, c, "HTTP/1.1 401")
	f.waitForIdle(t, 1)
	_ = c.Close()
	f.waitForIdle(t, 0)
}

func TestServerLimitsSlowAndLargeRequests(t *testing.T) {
	s := prepare(t, 1, answer).http
	for name, limit := range map[string][2]time.Duration{
		"header": {s.ReadHeaderTimeout, 5 * time.Second},
		"read":   {s.ReadTimeout, 10 * time.Second},
		"write":  {s.WriteTimeout, 30 * time.Second},
		"idle":   {s.IdleTimeout, 120 * time.Second},
	} {
		if limit[0] != limit[1] {
			t.Errorf("%s timeout is %v, want %v", name, limit[0], limit[1])
		}
	}
	if s.MaxHeaderBytes != 16<<10 {
		t.Errorf("headers may have %d bytes", s.MaxHeaderBytes)
	}
}

func TestOpenAndEvictedConnectionsAreCounted(t *testing.T) {
	f := start(t, 2, answer)
	for range 5 {
		expect(t, f.open(t, request), statusOK)
	}
	f.waitForIdle(t, 2)
	got := map[string]float64{}
	families, err := f.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		m := family.GetMetric()[0]
		got[family.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
	}
	want := map[string]float64{
		"dropgate_connections_open public": 2, "dropgate_connections_max public": 2, "dropgate_connections_evicted_total public": 3,
	}
	if !maps.Equal(got, want) {
		t.Errorf("metrics %v, want %v", got, want)
	}
}
