package app_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"

	"dropgate/internal/app"
	"dropgate/internal/clienttoken"
)

// change is a change of a secret setting, and a way to see which value is in use.
type change struct {
	before, after string
	// start starts the service with these settings.
	start func(t *testing.T, settings map[string]string) *service
	// uses reports whether the service uses a value.
	uses func(t *testing.T, s *service, value string) bool
}

// changes are a change of each secret setting.
func changes() map[string]func(t *testing.T) change {
	return map[string]func(t *testing.T) change{
		"DWOLLA_CLIENT_SECRET":       changeOfDwollaSecret,
		"AUTH_OIDC_CLIENT_SECRET":    changeOfOIDCSecret,
		"AUTH_OIDC_CLIENT_KEYS":      changeOfClientKeys,
		"AUTH_PROXY_SECRET":          changeOfProxySecret,
		"SESSION_KEYS":               changeOfSessionKeys,
		"REDIS_URL":                  changeOfRedisURL,
		"DATABASE_URL":               changeOfDatabaseURL,
		"CUSTOMER_LOOKUP_TOKEN":      changeOfLookupToken,
		"ENROLLMENT_KEYS":            changeOfEnrollmentKeys,
		"DWOLLA_WEBHOOK_SECRET":      changeOfWebhookSecret,
		"ADMIN_TOKEN":                changeOfAdminToken,
		"HTTPS_PROXY":                changeOfHTTPSProxy,
		"HTTP_PROXY":                 changeOfHTTPProxy,
		"OTEL_EXPORTER_OTLP_HEADERS": changeOfTraceHeaders,
	}
}

// TestEverySecretSettingReachesItsUser fails for a new secret setting without a change
// above, and for one that keeps its value until a restart.
func TestEverySecretSettingReachesItsUser(t *testing.T) {
	var secrets []string
	for field := range reflect.TypeFor[app.Config]().Fields() {
		if name := field.Tag.Get("env"); name != "" && field.Type == reflect.TypeFor[clienttoken.Secret]() {
			secrets = append(secrets, name)
		}
	}
	all := changes()
	if known := slices.Sorted(maps.Keys(all)); !slices.Equal(known, slices.Sorted(slices.Values(secrets))) {
		t.Errorf("this test changes %q, but the secret settings are %q", known, secrets)
	}
	for name, prepare := range all {
		t.Run(name, func(t *testing.T) { prepare(t).reaches(t, name) })
	}
}

// reaches changes the file of a setting.
func (c change) reaches(t *testing.T, name string) {
	t.Helper()
	file := newSecretFile(t, c.before)
	s := c.start(t, map[string]string{name: "", name + "_FILE": string(file)})
	until(t, "the use of the first value", func() bool { return c.uses(t, s, c.before) })
	if c.uses(t, s, c.after) {
		t.Error("the second value is in use before the change")
	}
	file.put(t, c.after)
	s.Reload()
	until(t, "the use of the second value", func() bool { return c.uses(t, s, c.after) })
}
