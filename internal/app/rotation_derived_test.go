package app_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"
)

// TestStartWarnsOfKeysDerivedFromTheClientSecret: removing that secret ends sessions.
func TestStartWarnsOfKeysDerivedFromTheClientSecret(t *testing.T) {
	for name, c := range map[string]struct {
		changes map[string]string
		warns   bool
	}{
		"derived":            {nil, true},
		"keys of their own":  {map[string]string{"SESSION_KEYS": key(1)}, false},
		"sandbox":            {map[string]string{"DWOLLA_ENVIRONMENT": "sandbox"}, false},
		"no sessions at all": {map[string]string{"AUTH_MODES": "bearer"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			settings := production(map[string]string{"DWOLLA_BASE_URL": "https://dwolla.test", "AUTH_BEARER_ISSUER": "https://idp.example.com/realm"})
			maps.Copy(settings, c.changes)
			s := newFixture(t).start(t, settings)
			until(t, "the line at the end of the start", func() bool { return strings.Contains(s.logs.String(), `"listening"`) })
			warned := false
			for _, line := range s.logs.lines(t, "") {
				text, _ := line["message"].(string)
				warned = warned || line["level"] == "warn" && strings.Contains(text, "SESSION_KEYS is not set: sessions depend on AUTH_OIDC_CLIENT_SECRET")
			}
			if warned != c.warns {
				t.Errorf("the warning is there: %v, want %v:\n%s", warned, c.warns, s.logs)
			}
		})
	}
}

// TestReplicasShareLimitsAfterANewClientSecret: the names of limits derive from it.
func TestReplicasShareLimitsAfterANewClientSecret(t *testing.T) {
	const burst = 25
	c, r := changeOfDwollaSecret(t), newOwnRedis(t)
	file := newSecretFile(t, c.before)
	start := func() *service {
		return c.start(t, map[string]string{"RATE_LIMIT_USER": "25/1h", "REDIS_URL": r.url, "DWOLLA_CLIENT_SECRET": "", "DWOLLA_CLIENT_SECRET_FILE": string(file)})
	}
	shares := func(when string, first, second *service) {
		t.Helper()
		if one, two := first.passes(t), second.passes(t); one != burst || two != 0 {
			t.Errorf("%s: %d and %d requests pass, want %d and 0", when, one, two, burst)
		}
	}
	change := func(content string, replicas ...*service) {
		t.Helper()
		file.put(t, content)
		for _, s := range replicas {
			before := strings.Count(s.logs.String(), "is in force")
			s.Reload()
			until(t, "the new value", func() bool { return strings.Count(s.logs.String(), "is in force") > before })
		}
	}
	first, second := start(), start()
	shares("before", first, second)
	change(c.before+"\n"+c.after, first, second)
	third := start()
	for name, s := range map[string]*service{"a replica from before": second, "one started with both secrets": third} {
		if passed := s.passes(t); passed != 0 {
			t.Errorf("%s: %d requests pass, want 0", name, passed)
		}
	}
	change(c.after, first, second, third)
	shares("with the new secret", third, first)
	if passed := start().passes(t); passed != 0 {
		t.Errorf("a replica started with the new secret: %d requests pass, want 0", passed)
	}
}

// TestBadKeyListKeepsTheOldKeys: a start would refuse each of these lists.
func TestBadKeyListKeepsTheOldKeys(t *testing.T) {
	for _, name := range []string{"SESSION_KEYS", "ENROLLMENT_KEYS"} {
		t.Run(name, func(t *testing.T) {
			c := changes()[name](t)
			file := newSecretFile(t, c.before)
			s := c.start(t, map[string]string{name: "", name + "_FILE": string(file)})
			until(t, "the use of the first key", func() bool { return c.uses(t, s, c.before) })
			for content, want := range map[string]string{
				"":                                          "is empty",
				c.after[:20] + "," + c.before:               "key 1",
				"not base64 at all!\n" + c.before:           "key 1",
				c.after + "\n" + c.before[:30]:              "key 2",
				c.before + "\n" + c.before:                  "the same value on two lines",
				strings.Repeat("A", 44):                     "easy to guess",
				strings.TrimSuffix(c.after, "=")[:39] + "=": "key 1",
			} {
				before := s.reloadFailures(t, name)
				file.put(t, content)
				s.Reload()
				until(t, "a failure is counted", func() bool { return s.reloadFailures(t, name) > before })
				until(t, "a line for "+want, func() bool { return s.saidInError(t, name, want) })
				if !c.uses(t, s, c.before) || c.uses(t, s, c.after) {
					t.Errorf("%.10q…: the old key is not in force alone", content)
				}
			}
			shows(t, s, c.before, c.after, c.before[:30], c.after[:20])
		})
	}
}

// TestHalfWrittenURLKeepsTheOldOne: it is no URL, or the store refuses the password.
func TestHalfWrittenURLKeepsTheOldOne(t *testing.T) {
	for _, name := range []string{"REDIS_URL", "DATABASE_URL"} {
		t.Run(name, func(t *testing.T) {
			c := changes()[name](t)
			file := newSecretFile(t, c.before)
			s := c.start(t, map[string]string{name: "", name + "_FILE": string(file)})
			until(t, "the use of the first value", func() bool { return c.uses(t, s, c.before) })
			for _, half := range []string{"", c.after[:4], c.after[:20], c.after + "\x00"} {
				before := s.reloadFailures(t, name)
				file.put(t, half)
				s.Reload()
				until(t, "a failure is counted", func() bool { return s.reloadFailures(t, name) > before })
				if !c.uses(t, s, c.before) {
					t.Errorf("%q: the old value is not in force", half)
				}
			}
			file.put(t, c.after)
			s.Reload()
			until(t, "the use of the second value", func() bool { return c.uses(t, s, c.after) })
			if s.admin(t, "/livez").status != http.StatusOK {
				t.Error("the service is not alive")
			}
		})
	}
}
