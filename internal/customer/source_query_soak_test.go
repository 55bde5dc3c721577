//go:build soak

package customer_test

import (
	"errors"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestQueryHasItsOwnTimeout(t *testing.T) {
	t.Parallel()
	app := newApplication(t)
	q := newQuery(t, app.URL, `SELECT $1, pg_sleep(60)::text || $1`)
	_, err := ask(q, "ann")
	if failure, ok := errors.AsType[*clienttoken.Failure](err); !ok || failure.RetryAfter == 0 {
		t.Errorf("error %v, want a Failure with a RetryAfter", err)
	}
}
