package provider_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestRequestsAndCodesExpire(t *testing.T) {
	for name, c := range map[string]struct {
		onPage, withCode time.Duration
		want             int
	}{
		"in time":          {10*time.Minute - 1, time.Minute - 1, http.StatusOK},
		"too long at page": {10 * time.Minute, 0, http.StatusBadRequest},
		"old code":         {0, time.Minute, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, b := unlistened(t)
				at := b.open(authorize)
				<-time.After(c.onPage)
				landed := b.press(at, "user", "alice")
				<-time.After(c.withCode)
				if got := redeem(t, p, landed.answer().Get("code")); got != c.want {
					t.Errorf("%d, want %d", got, c.want)
				}
			})
		})
	}
}

const capacity = 1000 // of each kind of entry

func TestFullRequestStoreEvictsTheOldest(t *testing.T) {
	_, b := unlistened(t)
	var pages []page
	for range capacity + 1 {
		pages = append(pages, b.open(authorize))
	}
	for i, want := range map[int]int{0: http.StatusBadRequest, 1: http.StatusOK, capacity: http.StatusOK} {
		if got := b.open(pages[i].url.String()); got.status != want {
			t.Errorf("request %d: %d, want %d", i, got.status, want)
		}
	}
}

func TestFullSessionStoreEvictsTheOldest(t *testing.T) {
	p, _ := unlistened(t)
	var browsers []*browser
	for range capacity + 1 {
		b := newBrowser(t, p.Transport())
		b.press(b.open(authorize), "user", "alice")
		browsers = append(browsers, b)
	}
	for i, want := range map[int]bool{0: false, 1: true, capacity: true} {
		if got := browsers[i].open(authorize).answer().Has("code"); got != want {
			t.Errorf("browser %d is signed in: %v, want %v", i, got, want)
		}
	}
}

func TestFullCodeStoreEvictsTheOldest(t *testing.T) {
	p, b := unlistened(t)
	codes := []string{b.press(b.open(authorize), "user", "alice").answer().Get("code")}
	for range capacity {
		codes = append(codes, b.open(authorize).answer().Get("code"))
	}
	for i, want := range map[int]int{0: http.StatusBadRequest, 1: http.StatusOK, capacity: http.StatusOK} {
		if got := redeem(t, p, codes[i]); got != want {
			t.Errorf("code %d: %d, want %d", i, got, want)
		}
	}
}
