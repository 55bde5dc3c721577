package emulator_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
)

const vendCreate = `{"action":"customer.create"}`

// roundTrip sends r without following a redirect. The caller closes the body.
func (d *dwolla) roundTrip(r *http.Request) (*http.Response, error) {
	d.t.Helper()
	return d.client.Transport.RoundTrip(r)
}

func TestAFaultAnswersWithItsStatusAndCode(t *testing.T) {
	tests := map[string]struct {
		fault  emulator.Fault
		status int
		code   string
	}{
		"throttled":     {emulator.Fault{Status: 429, Header: http.Header{"Retry-After": {"300"}}}, 429, "TooManyRequests"},
		"suspended":     {emulator.Fault{Status: 401, Code: "InvalidApplicationStatus"}, 401, "InvalidApplicationStatus"},
		"400":           {emulator.Fault{Status: 400}, 400, "BadRequest"},
		"401":           {emulator.Fault{Status: 401}, 401, "InvalidAccessToken"},
		"403":           {emulator.Fault{Status: 403}, 403, "Forbidden"},
		"404":           {emulator.Fault{Status: 404}, 404, "NotFound"},
		"500":           {emulator.Fault{Status: 500}, 500, "ServerError"},
		"503":           {emulator.Fault{Status: 503}, 503, "ServerError"},
		"code only":     {emulator.Fault{Code: "RequestTimeout"}, 500, "RequestTimeout"},
		"informational": {emulator.Fault{Status: 100}, 500, "ServerError"},
		"impossible":    {emulator.Fault{Status: 12345}, 500, "ServerError"},
		"negative":      {emulator.Fault{Status: -1}, 500, "ServerError"},
		"late":          {emulator.Fault{Status: 503, Latency: time.Millisecond}, 503, "ServerError"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			access := d.accessToken()
			d.InjectFault(emulator.OpCreateClientToken, test.fault)
			got := d.call(access, http.MethodPost, "/client-tokens", vendCreate)
			got.wantProblem(t, test.status, test.code)
			if want := test.fault.Header.Get("Retry-After"); got.header.Get("Retry-After") != want {
				t.Errorf("headers %v", got.header)
			}
			if got.header.Get("X-Request-Id") == "" || got.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("headers %v", got.header)
			}
			if len(d.ClientTokens()) != 0 {
				t.Error("a spoiled request vended")
			}
		})
	}
}

func TestTokenEndpointFaultSpeaksOAuth(t *testing.T) {
	d := start(t)
	d.InjectFault(emulator.OpToken, emulator.Fault{Status: 401})
	if got := d.send(d.tokenRequest()); got.status != 401 || string(got.body) != `{"error":"invalid_client"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	d.InjectFault(emulator.OpToken, emulator.Fault{Status: 400, Code: "invalid_scope"})
	if got := d.send(d.tokenRequest()); got.status != 400 || string(got.body) != `{"error":"invalid_scope"}` {
		t.Errorf("%d %s", got.status, got.body)
	}
	d.InjectFault(emulator.OpToken, emulator.Fault{Status: 429})
	d.send(d.tokenRequest()).wantProblem(t, 429, "TooManyRequests")
}

func TestFaultCanSendAnyBody(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Body: "<html>", Header: http.Header{"content-type": {"text/html"}}})
	if got := d.call(access, http.MethodPost, "/client-tokens", vendCreate); got.status != 200 ||
		string(got.body) != "<html>" || got.header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %v %s", got.status, got.header, got.body)
	}
	d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: 502, Body: "bad gateway"})
	if got := d.call(access, http.MethodPost, "/client-tokens", vendCreate); got.status != 502 || string(got.body) != "bad gateway" {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, status := range []int{200, 204, 304} {
		d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Status: status})
		if got := d.call(access, http.MethodPost, "/client-tokens", vendCreate); got.status != status || len(got.body) != 0 {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
}

func TestFaultHitsItsOperationAsOftenAsAsked(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	path := "/customers/" + d.customer(emulator.Customer{}).ID
	statuses := func(n int) []int {
		var got []int
		for range n {
			got = append(got, d.call(access, http.MethodGet, path, "").status)
		}
		return got
	}
	equal := func(got []int, want ...int) {
		t.Helper()
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("got %v, want %v", got, want)
				return
			}
		}
	}
	d.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 500, Times: 2})
	if got := d.call(access, http.MethodPost, path, "{}"); got.status != http.StatusOK {
		t.Errorf("another operation: %d", got.status)
	}
	equal(statuses(4), 500, 500, 200, 200)

	d.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 500})
	d.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 429}) // replaces
	equal(statuses(3), 429, 429, 429)
	d.ClearFaults()
	equal(statuses(1), 200)
	if got := d.Calls(emulator.OpReadCustomer); got != 8 {
		t.Errorf("%d calls counted, spoiled ones included; want 8", got)
	}
}

func TestFaultyRequestUsesNoClientToken(t *testing.T) {
	d := start(t)
	id := d.customer(emulator.Customer{}).ID
	token := d.vend("customer.read", id)
	d.InjectFault(emulator.OpReadCustomer, emulator.Fault{Status: 500, Times: 1})
	d.call(token, http.MethodGet, "/customers/"+id, "").wantProblem(t, 500, "ServerError")
	if got := d.call(token, http.MethodGet, "/customers/"+id, ""); got.status != http.StatusOK {
		t.Errorf("status %d", got.status)
	}
}

func TestLatencyDelaysTheUsualAnswer(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	const latency = 20 * time.Millisecond
	d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Latency: latency, Header: http.Header{"X-Late": {"yes"}}})
	begun := time.Now()
	got := d.call(access, http.MethodPost, "/client-tokens", vendCreate)
	if took := time.Since(begun); got.status != http.StatusOK || took < latency || got.header.Get("X-Late") != "yes" {
		t.Errorf("status %d after %v", got.status, took)
	}
}

func TestLatencyEndsWhenTheClientLeaves(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.ServeHTTP(w, r)
		close(ended)
	}))
	defer server.Close()
	d.url = server.URL
	d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Latency: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	response, err := d.roundTrip(d.request(access, http.MethodPost, "/client-tokens", vendCreate).WithContext(ctx))
	if err == nil {
		_ = response.Body.Close()
		t.Fatal("an answer before the latency was over")
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	<-ended
	if len(d.ClientTokens()) != 0 {
		t.Error("a client token for a client that is gone")
	}
}

func TestConnectionIsCutBeforeTheAnswer(t *testing.T) {
	for name, listen := range map[string]func(http.Handler) *httptest.Server{
		"plain": httptest.NewServer, "TLS": httptest.NewTLSServer,
	} {
		t.Run(name, func(t *testing.T) {
			d := start(t)
			access := d.accessToken()
			server := listen(d)
			defer server.Close()
			d.url, d.client = server.URL, server.Client()
			d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{CutBefore: true, Times: 1})
			response, err := d.roundTrip(d.request(access, http.MethodPost, "/client-tokens", vendCreate))
			if err == nil {
				_ = response.Body.Close()
				t.Fatalf("status %d", response.StatusCode)
			}
			if got := d.call(access, http.MethodPost, "/client-tokens", vendCreate); got.status != http.StatusOK {
				t.Errorf("after the fault: %d", got.status)
			}
		})
	}
}

func TestUncuttableConnectionGets500(t *testing.T) {
	e := emulator.New(emulator.Options{})
	e.InjectFault(emulator.OpReadCustomer, emulator.Fault{CutBefore: true})
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/customers/x", http.NoBody))
	if w.Code != http.StatusInternalServerError {
		t.Errorf("status %d", w.Code)
	}
}

func TestConnectionIsCutMidBody(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{CutMidBody: true, Body: `{"token":"half`})
	response, err := d.roundTrip(d.request(access, http.MethodPost, "/client-tokens", vendCreate))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK || string(body) != `{"token":"half` || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%d %q %v", response.StatusCode, body, err)
	}
}

func TestHugeBodyCostsLittleMemory(t *testing.T) {
	d := start(t)
	access := d.accessToken()
	huge := func(size int64) *http.Response {
		d.InjectFault(emulator.OpCreateClientToken, emulator.Fault{HugeBody: size})
		response, err := d.roundTrip(d.request(access, http.MethodPost, "/client-tokens", vendCreate))
		if err != nil {
			t.Fatal(err)
		}
		return response
	}
	for _, size := range []int64{1, 11, 12, 13, 100, 32<<10 + 12, 100_000} {
		response := huge(size)
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || int64(len(body)) != size || json.Valid(body) != (size >= 12) || response.ContentLength > 0 && size > 1<<12 {
			t.Errorf("%d bytes: got %d, announced %d, %v", size, len(body), response.ContentLength, err)
		}
	}

	const size = 64 << 20
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	response := huge(size)
	n, err := io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	runtime.ReadMemStats(&after)
	if allocated := after.TotalAlloc - before.TotalAlloc; n != size || err != nil || allocated > size/8 {
		t.Errorf("%d bytes, %d allocated, %v", n, allocated, err)
	}

	// A client that leaves early ends the stream. Otherwise the server could not
	// close.
	response = huge(1 << 40)
	if _, err = io.CopyN(io.Discard, response.Body, 1<<20); err != nil {
		t.Error(err)
	}
	_ = response.Body.Close()
}

func TestARedirect(t *testing.T) {
	for want, fault := range map[int]emulator.Fault{
		http.StatusFound:             {Redirect: "https://evil.example/"},
		http.StatusTemporaryRedirect: {Redirect: "https://evil.example/", Status: http.StatusTemporaryRedirect},
	} {
		d := start(t)
		access := d.accessToken()
		d.InjectFault(emulator.OpCreateClientToken, fault)
		response, err := d.roundTrip(d.request(access, http.MethodPost, "/client-tokens", vendCreate))
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want || response.Header.Get("Location") != "https://evil.example/" {
			t.Errorf("%d %v", response.StatusCode, response.Header)
		}
	}
}

func TestFaultsPrecedeTheChecks(t *testing.T) {
	d := start(t)
	d.InjectFault(emulator.OpCreateCustomer, emulator.Fault{Status: 503})
	r := d.request("nobody", http.MethodPost, "/customers", strings.Repeat("x", 10))
	r.Header.Del("Accept")
	d.send(r).wantProblem(t, 503, "ServerError")
}
