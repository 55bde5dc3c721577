package app_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"dropgate/internal/app"
)

func TestLoadReportsAllFaultsAtOnce(t *testing.T) {
	_, err := app.Load([]string{"LOG_LEVEL=loud", "DWOLLA_TIMEOUT=soon", "CUSTOMER_SOURCE=lookup", "ADMIN_TOKEN=x", "RATE_LIMIT_IP=1/1s", "POLICY_FILE=x"})
	wrong, ok := errors.AsType[*app.ConfigError](err)
	if !ok {
		t.Fatalf("%v, want a *ConfigError", err)
	}
	var names []string
	for _, fault := range wrong.Faults {
		name, _, _ := strings.Cut(fault, ":")
		names = append(names, name)
	}
	want := []string{
		"DWOLLA_ENVIRONMENT", "DWOLLA_CLIENT_ID", "DWOLLA_CLIENT_SECRET", "DWOLLA_TIMEOUT",
		"ALLOWED_ACTIONS", "AUTH_MODES", "CUSTOMER_LOOKUP_URL", "ADMIN_TOKEN", "ADMIN_TOKEN", "RATE_LIMIT_IP", "LOG_LEVEL", "POLICY_FILE",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("faults (-want +got):\n%s\n%v", diff, err)
	}
}
