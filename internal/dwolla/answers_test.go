package dwolla_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/dwolla/emulator"
)

func TestRedirectsAreNotFollowed(t *testing.T) {
	target := startWith(t, setup{api: func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was followed, Authorization %t", r.Method, r.URL, r.Header.Get("Authorization") != "")
	}, token: func(http.ResponseWriter, *http.Request) {
		t.Error("/token was followed")
	}})
	for _, status := range []int{300, 301, 302, 303, 307, 308} {
		for _, op := range []emulator.Operation{emulator.OpToken, emulator.OpCreateClientToken} {
			t.Run(fmt.Sprint(op, status), func(t *testing.T) {
				for _, root := range []string{target.URL, ""} { // another host, and the same
					w := start(t)
					w.InjectFault(op, emulator.Fault{Status: status, Redirect: root + "/beneficial-owners/" + someOwner})
					_, err := w.vend(t.Context())
					w.wantFailure(t, err, clienttoken.UpstreamError)
					wantFault(t, fault(t, err), string(op), status, "")
					w.wantCalls(t, emulator.OpReadBeneficialOwner, 0)
				}
			})
		}
	}
}

func TestControlCharactersOfDwollasAreRemoved(t *testing.T) {
	w := startWith(t, setup{api: func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Request-Id", "req\t[31m 1\u202e\xff") // net/http lets no worse pass
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, `{"code":"Bad\r\n\u001b[31mRequest \u202e\u0000é"}`)
	}})
	_, err := w.vend(t.Context())
	w.wantFailure(t, err, clienttoken.UpstreamError)
	failure := failureOf(t, err)
	if e := fault(t, err); e.Code != "" || e.RequestID != "req[31m1" || failure.DwollaRequestID != e.RequestID {
		t.Errorf("kept %q and %q", e.Code, e.RequestID)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("the error is %q", err)
	}
}

func TestOddErrorCodesAreDropped(t *testing.T) {
	for code, want := range map[string]string{
		"InvalidResourceState": "InvalidResourceState",
		"invalid_client":       "invalid_client",
		"Bearer abc":           "",
		"key:secret":           "",
		"a1b2c3":               "",
	} {
		w := startWith(t, setup{api: answers(http.StatusForbidden, `{"code":"`+code+`"}`)})
		_, err := w.vend(t.Context())
		wantFault(t, fault(t, err), "create_client_token", http.StatusForbidden, want)
	}
}

func TestWordsOfDwollasAreKeptShort(t *testing.T) {
	w := startWith(t, setup{api: func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("X-Request-Id", strings.Repeat("r", 5000))
		rw.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(rw, `{"code":"`+strings.Repeat("c", 5000)+`"}`)
	}})
	_, err := w.vend(t.Context())
	if e := fault(t, err); len(e.Code) != 128 || len(e.RequestID) != 128 {
		t.Errorf("kept %d and %d bytes", len(e.Code), len(e.RequestID))
	}
}

func TestRefusalWithoutDwollasShapeKeepsItsStatus(t *testing.T) {
	for _, body := range []string{"", "<html>", "[]", `{"code":7}`, `{"code":null}`, `{"code":""}`, "null"} {
		w := startWith(t, setup{api: answers(http.StatusForbidden, body)})
		_, err := w.vend(t.Context())
		w.wantFailure(t, err, clienttoken.UpstreamError)
		wantFault(t, fault(t, err), "create_client_token", http.StatusForbidden, "")
	}
}
