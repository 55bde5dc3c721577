package handler_test

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dropgate/internal/clienttoken"
)

// contractEnrollment has a result by user name.
type contractEnrollment struct{}

func (contractEnrollment) CorrelationID(user clienttoken.User) string { return "dg1." + user.ID }

func (contractEnrollment) Expect(context.Context, clienttoken.User) error { return nil }

func (contractEnrollment) Enroll(
	_ context.Context, user clienttoken.User, customer clienttoken.CustomerURL,
) (clienttoken.Customer, error) {
	failure := func(code clienttoken.Code) error {
		return &clienttoken.Failure{Code: code, Err: errors.New("as told")}
	}
	switch user.ID {
	case "hasty":
		return clienttoken.Customer{}, &clienttoken.Refusal{Code: clienttoken.TooManyRequests, RetryAfter: 30e9}
	case "refused":
		return clienttoken.Customer{}, failure(clienttoken.UpstreamError)
	case "slow":
		return clienttoken.Customer{}, failure(clienttoken.UpstreamTimeout)
	}
	return clienttoken.Customer{URL: customer, Status: clienttoken.StatusVerified}, nil
}

// contractWebhooks is an inbox with a result by signature.
type contractWebhooks struct{}

func (contractWebhooks) Receive(_ context.Context, signature string, _ []byte) error {
	switch signature {
	case "good":
		return nil
	case "of no webhook":
		return &clienttoken.Refusal{Code: clienttoken.BadRequest, Reason: "no id"}
	case "while the database is down":
		return &clienttoken.Failure{Code: clienttoken.Unavailable, Err: errors.New("down")}
	case "panic":
		panic("the inbox panics")
	}
	return &clienttoken.Refusal{Code: clienttoken.Unauthenticated, Reason: "the signature is not the body's"}
}

// directoryExchanges are about user–Customer links.
func directoryExchanges() []exchange {
	const own = `{"href":"` + contractCustomer + `"}`
	put := func(user, body, want string) exchange {
		return exchange{
			user: user, method: http.MethodPut, path: "/session/customer", body: body, want: want,
			header: http.Header{"Content-Type": {"application/json"}},
		}
	}
	tell := func(signature, body, want string) exchange {
		return exchange{
			method: http.MethodPost, path: "/webhooks/dwolla", body: body, want: want,
			header: http.Header{"Content-Type": {"application/json"}, "X-Request-Signature-Sha-256": {signature}},
		}
	}
	const event = `{"id":"1","topic":"customer_verified","created":"2019-05-30T18:21:11.490Z","resourceId":"x","more":1}`
	all := []exchange{
		{user: "suspended", method: http.MethodPost, path: "/client-tokens", want: "403 CustomerInactive", body: `{"action":"customer.read"}`},
		{user: "hasty", method: http.MethodPost, path: "/client-tokens", want: "429 TooManyRequests", body: `{"action":"customer.read","_links":{"customer":` + own + `}}`},
		{user: "suspended", method: http.MethodGet, path: "/session", want: "200"},
		put("alice", own, "200"),
		put("nobody", `{"href":"`+contractCustomer+`","more":1}`, "200"),
		put("alice", `[]`, "400 BadRequest"),
		put("alice", `{}`, "400 ValidationError"),
		put("alice", `{"href":7}`, "400 ValidationError"),
		put("", own, "401 Unauthenticated"),
		put("alice", `{"href":"https://example.com/customers/1"}`, "403 CustomerMismatch"),
		put("alice", own, "403 CrossOriginRequest"),
		put("alice", `{"href":"`+strings.Repeat("x", 64<<10)+`"}`, "413 PayloadTooLarge"),
		put("alice", own, "415 UnsupportedMediaType"),
		put("hasty", own, "429 TooManyRequests"),
		put("panic", own, "500 ServerError"),
		put("refused", own, "502 UpstreamError"),
		put("down", own, "503 Unavailable"),
		put("slow", own, "504 UpstreamTimeout"),
		tell("good", event, "200"),
		tell("of no webhook", `{}`, "400 BadRequest"),
		tell("bad", event, "401 Unauthenticated"),
		tell("good", event, "403 CrossOriginRequest"),
		tell("good", strings.Repeat("x", 64<<10+1), "413 PayloadTooLarge"),
		tell("panic", event, "500 ServerError"),
		tell("while the database is down", event, "503 Unavailable"),
	}
	for i := range all {
		if all[i].header == nil {
			all[i].header = http.Header{"Content-Type": {"application/json"}}
		}
		switch all[i].want {
		case "403 CrossOriginRequest":
			all[i].header.Set("Sec-Fetch-Site", "cross-site")
		case "415 UnsupportedMediaType":
			all[i].header.Set("Content-Type", "text/plain")
		}
	}
	return all
}
