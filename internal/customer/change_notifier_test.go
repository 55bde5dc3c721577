package customer_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// slowTokens returns a token after its release.
type slowTokens struct{ release chan struct{} }

// CreateClientToken implements clienttoken.Dwolla.
func (d slowTokens) CreateClientToken(context.Context, clienttoken.Grant) (clienttoken.Token, error) {
	<-d.release
	return clienttoken.Token{Secret: clienttoken.NewSecret("a token")}, nil
}

// become changes the status at Dwolla.
func (b *statusBook) become(status clienttoken.CustomerStatus) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// codeOf returns the code of a refusal, or "" for success.
func codeOf(t *testing.T, err error) clienttoken.Code {
	t.Helper()
	if refusal, ok := errors.AsType[*clienttoken.Refusal](err); ok {
		return refusal.Code
	}
	if err != nil {
		t.Error(err)
	}
	return ""
}

// Another request of the user reads the status (CUSTOMER_STATUS_INTERVAL).
func TestStatusReadDuringAVendDropsTheToken(t *testing.T) {
	for later, want := range map[clienttoken.CustomerStatus]clienttoken.Code{
		clienttoken.StatusSuspended: clienttoken.CustomerInactive, clienttoken.StatusDeactivated: clienttoken.CustomerInactive,
		clienttoken.StatusDocument: "", clienttoken.StatusVerified: "",
	} {
		t.Run(string(later), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const interval = 10 * time.Second
				book, news, tokens := &statusBook{status: clienttoken.StatusVerified}, customer.NewChangeNotifier(), slowTokens{make(chan struct{})}
				directory := customer.NewDirectory(customer.DirectoryConfig{
					Source: customer.NewLinkSource(sandbox(t), annsStore(), time.Hour), Statuses: []customer.StatusSource{customer.NewDwollaStatus(book, interval)},
					Notifier: news, Registerer: prometheus.NewRegistry(),
				})
				policy, err := clienttoken.ParsePolicy([]string{"customer.read"})
				if err != nil {
					t.Fatal(err)
				}
				vendor := clienttoken.Vendor{API: sandbox(t), Policy: policy, Directory: directory, Dwolla: tokens, Changes: news}
				ann := clienttoken.User{ID: "ann"}
				result := make(chan error, 1)
				go func() {
					_, err := vendor.Vend(t.Context(), ann, clienttoken.Request{Action: "customer.read"}, noCause)
					result <- err
				}()
				synctest.Wait()
				<-time.After(interval)
				book.become(later)
				if _, err := directory.Customer(t.Context(), ann); err != nil { // like GET /session
					t.Error(err)
				}
				close(tokens.release)
				if got := codeOf(t, <-result); got != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		})
	}
}
