package dwolla

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCloseEndsTheRenewalsAndKeepsTheToken(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		pass(799 * time.Second)
		s.close()
		s.close() // twice does no harm
		pass(100 * time.Second)
		wantToken(t, s, "at-1")
		pass(48 * time.Hour)
		wantAsked(t, e, seconds(0)...)
	})
}

func TestCloseEndsAFetchUnderWay(t *testing.T) {
	inFakeTime(t, func(t *testing.T, s *accessTokens, e *tokenEndpoint) {
		wantToken(t, s, "at-1")
		e.set(http.StatusOK, 4*time.Second)
		pass(801 * time.Second)
		wantAsked(t, e, seconds(0, 800)...)
		s.close()
		pass(10 * time.Second)
		wantToken(t, s, "at-1") // the renewal came to nothing
		pass(48 * time.Hour)
		wantAsked(t, e, seconds(0, 800)...)
	})
}

func TestCloseWaitsForAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &tokenEndpoint{begin: time.Now(), status: http.StatusOK, latency: time.Hour}
		var log strings.Builder
		s := newTokensFrom(t, e, &log)
		go func() { _, _ = s.get(t.Context()) }()
		pass(time.Second)
		s.close()
		if e.serving != 0 { // without a lock: there is nobody else
			t.Error("the fetch goes on")
		}
		if _, err := s.get(t.Context()); !errors.Is(err, errClosed) {
			t.Errorf("%v, want %v", err, errClosed)
		}
		synctest.Wait()
		if log.Len() > 0 {
			t.Errorf("the log says %s", log.String())
		}
		wantAsked(t, e, 0)
	})
}
