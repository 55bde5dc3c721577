package rotation_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/rotation"
)

func secret(text string) clienttoken.Secret { return clienttoken.NewSecret(text) }

func revealed(values []clienttoken.Secret) string {
	var texts []string
	for _, value := range values {
		texts = append(texts, value.Reveal())
	}
	return strings.Join(texts, " ")
}

func TestValuesAreOnePerLine(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "",
		"one":                    "one",
		"one\n":                  "one",
		" one \r\n\r\n\ttwo\r\n": "one two",
		"a,b\nc":                 "a,b c",
	} {
		if got := revealed(rotation.Values(secret(text))); got != want {
			t.Errorf("%q: values %q, want %q", text, got, want)
		}
	}
}

func TestCandidatesFollowWhatThePeerAccepts(t *testing.T) {
	s := rotation.New(secret("old"))
	want := func(when, candidates, values string) {
		t.Helper()
		if got := revealed(s.Candidates()); got != candidates {
			t.Errorf("%s: candidates %q, want %q", when, got, candidates)
		}
		if got := revealed(s.Values()); got != values {
			t.Errorf("%s: values %q, want %q", when, got, values)
		}
	}
	want("at the start", "old", "old")
	if s.Confirmed() {
		t.Error("the peer has accepted nothing yet")
	}
	s.Accepted(secret("old"))
	if !s.Confirmed() {
		t.Error("old is not confirmed")
	}
	s.Set(secret("new\nold"))
	want("with both", "old new", "new old")
	s.Accepted(secret("new"))
	want("after the peer's change", "new old", "new old")
	s.Set(secret("new"))
	want("without the old one", "new", "new")
	s.Set(secret("half"))
	want("while the new one is not accepted", "half new", "half")
	s.Accepted(secret("new"))
	if s.Confirmed() {
		t.Error("the value before the change counts as a present one")
	}
	s.Accepted(secret("half"))
	want("once it is accepted", "half", "half")
}

func TestOneRefusalIsReportedPerChange(t *testing.T) {
	s := rotation.New(secret("a"))
	got := []bool{s.Refused(), s.Refused()}
	s.Set(secret("b"))
	if got = append(got, s.Refused()); !slices.Equal(got, []bool{true, false, true}) {
		t.Errorf("reported %v", got)
	}
}

func TestSecretDoesNotPrintItsValues(t *testing.T) {
	s := rotation.New(secret("hunter2"))
	s.Accepted(secret("hunter2"))
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		if text := fmt.Sprintf(format, s); strings.Contains(text, "hunter2") || strings.Contains(text, fmt.Sprintf("%x", "hunter2")) {
			t.Errorf("%s prints %s", format, text)
		}
	}
}
