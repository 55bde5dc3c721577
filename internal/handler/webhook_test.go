package handler_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

// received is an inbox that keeps its webhooks.
type received struct {
	signatures, bodies []string
	err                error
}

func (r *received) Receive(_ context.Context, signature string, body []byte) error {
	r.signatures, r.bodies = append(r.signatures, signature), append(r.bodies, string(body))
	return r.err
}

func webhooks(to handler.Webhooks) func(*setup) {
	return func(s *setup) { s.handler.Webhooks = to }
}

func signature(values ...string) with { return header("X-Request-Signature-SHA-256", values...) }

// TestWebhookIsReceivedUnchanged: the signature is over the raw body.
func TestWebhookIsReceivedUnchanged(t *testing.T) {
	inbox := &received{}
	w := newWorld(t, webhooks(inbox), basePath("/dropgate"))
	for _, content := range []string{"{ \"id\" : \"1\" }\n", "not JSON", "", "\x00\xff"} {
		for _, contentType := range []string{"application/json", "application/vnd.dwolla.v1.hal+json", "text/plain", ""} {
			inbox.signatures, inbox.bodies = nil, nil
			a := w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", body(content), header("Content-Type", contentType), signature("abc")))
			if a.status != http.StatusOK || a.body != "" {
				t.Errorf("answer %d %s", a.status, a.body)
			}
			if len(inbox.bodies) != 1 || inbox.bodies[0] != content || inbox.signatures[0] != "abc" {
				t.Errorf("received %q, signature %q, want %q", inbox.bodies, inbox.signatures, content)
			}
		}
	}
}

func TestTwoSignaturesCountAsNone(t *testing.T) {
	inbox := &received{}
	w := newWorld(t, webhooks(inbox))
	for _, edit := range []with{signature("abc", "abc"), signature(), without("X-Request-Signature-SHA-256")} {
		w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", body("{}"), edit))
	}
	if strings.Join(inbox.signatures, "") != "" || len(inbox.signatures) != 3 {
		t.Errorf("signatures %q", inbox.signatures)
	}
}

func TestRefusedWebhookGetsAnError(t *testing.T) {
	inbox := &received{}
	w := newWorld(t, webhooks(inbox))
	tell := func(content string, edits ...with) answer {
		return w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", append([]with{body(content), signature("abc")}, edits...)...))
	}
	inbox.err = &clienttoken.Refusal{Code: clienttoken.Unauthenticated, Reason: "the signature is wrong"}
	a := tell("{}")
	a.refused(t, http.StatusUnauthorized, "Unauthenticated")
	if strings.Contains(a.problem.Message, "signed in") {
		t.Errorf("the request to Dwolla is %q", a.problem.Message)
	}
	inbox.err = &clienttoken.Refusal{Code: clienttoken.BadRequest, Reason: "no id"}
	a = tell("{}")
	a.refused(t, http.StatusBadRequest, "BadRequest")
	inbox.err = &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
	a = tell("{}")
	a.refused(t, http.StatusServiceUnavailable, "Unavailable")
	if a.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	inbox.err, inbox.bodies = nil, nil
	a = tell(strings.Repeat("x", 64<<10+1))
	a.refused(t, http.StatusRequestEntityTooLarge, "PayloadTooLarge")
	a = tell("{}", header("Origin", "https://evil.example"))
	a.refused(t, http.StatusForbidden, "CrossOriginRequest")
	if len(inbox.bodies) != 0 {
		t.Errorf("received %d bodies", len(inbox.bodies))
	}
	if a := tell(strings.Repeat("x", 64<<10)); a.status != http.StatusOK {
		t.Errorf("64 KiB: %d", a.status)
	}
	a = w.do(t, w.request(nobody, http.MethodGet, "/webhooks/dwolla"))
	a.refused(t, http.StatusMethodNotAllowed, "MethodNotAllowed")
}

func TestWebhookRouteNeedsASecret(t *testing.T) {
	w := newWorld(t)
	a := w.do(t, w.request(nobody, http.MethodPost, "/webhooks/dwolla", body("{}"), signature("abc")))
	a.refused(t, http.StatusNotFound, "NotFound")
}
