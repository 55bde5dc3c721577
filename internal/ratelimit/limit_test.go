package ratelimit_test

import (
	"testing"
	"time"

	"dropgate/internal/ratelimit"
)

func TestLimitsParse(t *testing.T) {
	for text, want := range map[string]ratelimit.Limit{
		"60/1m": limit(60, time.Minute), "25/1s": limit(25, time.Second), "1000000/24h": limit(1_000_000, 24*time.Hour), "off": {},
	} {
		var got ratelimit.Limit
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "60", "60/", "/1m", "9/1m", "24/1m", "0/1m", "-9/1m", "1000001/1m", "60/1", "60/999ms", "60/24h1s", "60/-1m", "60 / 1m", "OFF", "6e1/1m", "60/1m/1m"} {
		if err := new(ratelimit.Limit).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

func TestARareLimitMayBeOne(t *testing.T) {
	for text, want := range map[string]ratelimit.Limit{"1/1h": limit(1, time.Hour), "2/1h": limit(2, time.Hour), "off": {}} {
		var got ratelimit.Rare
		if err := got.UnmarshalText([]byte(text)); err != nil || got.Limit != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"0/1h", "-1/1h", "1000001/1h", "2/1ms", "2", ""} {
		if err := new(ratelimit.Rare).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// FuzzLimit checks that every accepted limit passes a burst of exactly N.
func FuzzLimit(f *testing.F) {
	for _, seed := range []string{"60/1m", "off", "25/1s", "300/1h30m", "1000000/24h", "8/1m", "60/1m/", "60/+1m", "9/1000000us"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var l ratelimit.Limit
		if l.UnmarshalText([]byte(text)) != nil || l.N > 1000 {
			return
		}
		if text == "off" != (l == ratelimit.Limit{}) {
			t.Fatalf("%q is %v", text, l)
		}
		limiter, passed := limiter(ratelimit.Config{IP: l}, newClock()), 0
		for ; passed <= 1000 && pay(limiter, "192.0.2.1", "") == nil; passed++ {
		}
		if want := l.N; text != "off" && passed != want {
			t.Fatalf("%q lets %d pass", text, passed)
		}
	})
}
