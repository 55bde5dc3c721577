package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

// maxDoctorBody bounds an answer, in bytes.
const maxDoctorBody = 1 << 20

// maxClockDifference is far below the time that tokens and signatures tolerate.
const maxClockDifference = 30 * time.Second

// tryDwolla gets an access token, compares the clocks, and reads the subscriptions.
func (d *doctor) tryDwolla(ctx context.Context) []verdict {
	var found []verdict
	var token clienttoken.Secret
	for i, secret := range rotation.Values(d.config.ClientSecret) {
		got, f := d.dwollaToken(ctx, secret)
		found = append(found, f...)
		if i == 0 {
			token = got
		}
	}
	if token.IsZero() || d.config.WebhookSecret.IsZero() {
		return found
	}
	return append(found, d.trySubscriptions(ctx, token)...)
}

func (d *doctor) dwollaToken(ctx context.Context, secret clienttoken.Secret) (clienttoken.Secret, []verdict) {
	root := d.config.api.Root()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, root+"/token", strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		return clienttoken.Secret{}, []verdict{bad("check DWOLLA_BASE_URL", "the address of Dwolla is malformed")}
	}
	r.SetBasicAuth(url.QueryEscape(d.config.ClientID), url.QueryEscape(secret.Reveal()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	started := time.Now()
	resp, err := d.egress.RoundTrip(r)
	if err != nil {
		return clienttoken.Secret{}, []verdict{bad("check the network, HTTPS_PROXY and DWOLLA_ENVIRONMENT", "%s: %s", root, reasonOf(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	clock := clockFinding(resp.Header.Get("Date"), started)
	var answer struct {
		Token string `json:"access_token"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDoctorBody))
	switch {
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusBadRequest:
		return clienttoken.Secret{}, []verdict{clock, bad("check DWOLLA_CLIENT_ID and DWOLLA_CLIENT_SECRET: both must belong to DWOLLA_ENVIRONMENT "+string(d.config.Environment), "Dwolla refuses the key and secret (%d)", resp.StatusCode)}
	case resp.StatusCode != http.StatusOK || err != nil || json.Unmarshal(body, &answer) != nil || answer.Token == "":
		return clienttoken.Secret{}, []verdict{clock, bad("see https://www.dwollastatus.com, or check DWOLLA_BASE_URL", "no access token: Dwolla answered %d", resp.StatusCode)}
	}
	return clienttoken.NewSecret(answer.Token), []verdict{good("an access token from %s", root), clock}
}

// clockFinding compares our clock with the Date of an answer.
func clockFinding(date string, now time.Time) verdict {
	at, err := http.ParseTime(date)
	if err != nil {
		return note("the answer has no Date, so the clock is not compared")
	}
	if ahead := now.Sub(at).Round(time.Second); ahead.Abs() > maxClockDifference {
		return bad("synchronize the clock of this machine (NTP)", "the clock of this machine is %s ahead of Dwolla's", ahead)
	}
	return good("the clock agrees with Dwolla's")
}

// subscription is a webhook subscription of the application.
type subscription struct {
	URL    string `json:"url"`
	Paused bool   `json:"paused"`
}

func (d *doctor) trySubscriptions(ctx context.Context, token clienttoken.Secret) []verdict {
	resp, err := d.get(ctx, d.config.api.Root()+"/webhook-subscriptions", http.Header{
		"Accept": {"application/vnd.dwolla.v1.hal+json"}, "Authorization": {"Bearer " + token.Reveal()},
	})
	if err != nil {
		return []verdict{bad("check the network", "webhook subscriptions: %s", reasonOf(err))}
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Embedded struct {
			Subscriptions []subscription `json:"webhook-subscriptions"`
		} `json:"_embedded"`
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDoctorBody))
	if err != nil || resp.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return []verdict{bad("the key may need the scope for webhook subscriptions; see them in Dwolla's dashboard", "webhook subscriptions: Dwolla answered %d", resp.StatusCode)}
	}
	return []verdict{d.judge(answer.Embedded.Subscriptions)}
}

// judge looks for the subscription of this service. Without PUBLIC_URL only the path can
// be compared.
func (d *doctor) judge(all []subscription) verdict {
	path := d.config.BasePath + "/webhooks/dwolla"
	for _, s := range all {
		at, err := url.Parse(s.URL)
		if err != nil || at.Path != path || d.config.PublicURL != "" && s.URL != d.config.PublicURL+path {
			continue
		}
		if s.Paused {
			return bad("repair the address, then resume it: POST /webhook-subscriptions/{id} with {\"paused\":false}", "Dwolla has paused the webhook subscription of %s", hostAndPath(at))
		}
		return good("a webhook subscription of %s", hostAndPath(at))
	}
	if d.config.PublicURL != "" {
		path = d.config.PublicURL + path
	}
	return bad(fmt.Sprintf("subscribe with the url %s and the secret DWOLLA_WEBHOOK_SECRET", path), "none of the %d webhook subscriptions points to this service", len(all))
}

// hostAndPath is a URL without its query and user, which may hold a secret.
func hostAndPath(u *url.URL) string { return u.Scheme + "://" + u.Host + u.Path }
