package handler

import (
	"net/url"
	"testing"

	"pgregory.net/rapid"
)

func TestAbsoluteURLAgreesWithParsing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.StringMatching(`(https?|HTTPS|ftp)?(:?//|:/|/)?[a-zA-Z0-9./:@%?# \-\[\]é]{0,20}`).Draw(t, "raw")
		u, err := url.Parse(raw)
		want := err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https")
		if got := absoluteURL(raw); got != want {
			t.Errorf("absoluteURL(%q) is %t, and parsing says %t", raw, got, want)
		}
	})
}
