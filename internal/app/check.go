package app

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// checker holds a parsed configuration and its faults. Its methods are the rules
// beyond the types of the settings. They change nothing but found, and do not read
// it, so they may run in any order.
type checker struct {
	Config

	unparsed faults // settings that could not be parsed: no rule reports them again
	found    faults
}

// rules returns the rules about values.
func rules() []func(checker) {
	return []func(checker){
		checker.dwolla, checker.listeners, checker.origins,
		checker.modes, checker.claimNames, checker.bearer, checker.oidc, checker.bearerWithOIDC, checker.sessions, checker.forward, checker.proxy,
		checker.plaintext, checker.redisURL, checker.source, checker.databaseURL, checker.databaseUse, checker.lookup, checker.enrollmentKeys, checker.webhooks,
		checker.operation, checker.traces,
	}
}

// fileRules returns the rules about the content of files with certificates.
func fileRules() []func(checker) { return []func(checker){checker.certificates, checker.authorities} }

// check adds the broken rules to f.
func (f faults) check(c Config, rules ...func(checker)) {
	k := checker{Config: c, unparsed: maps.Clone(f), found: f}
	for _, rule := range rules {
		rule(k)
	}
}

func (k checker) fail(name, what string) { k.found.add(name, what) }

func (k checker) required(name, value string) {
	if value == "" && len(k.unparsed[name]) == 0 && len(k.unparsed[name+"_FILE"]) == 0 {
		k.fail(name, "is required")
	}
}

func (k checker) within(name string, d, least, most time.Duration) {
	if len(k.unparsed[name]) == 0 && (d < least || d > most) {
		k.fail(name, fmt.Sprintf("%s is not between %s and %s", d, least, most))
	}
}

func (k checker) dwolla() {
	k.required("DWOLLA_CLIENT_ID", k.ClientID)
	k.required("DWOLLA_CLIENT_SECRET", k.ClientSecret.Reveal())
	k.notGuessable("DWOLLA_CLIENT_SECRET", k.ClientSecret)
	k.within("DWOLLA_TIMEOUT", k.Timeout, 100*time.Millisecond, 10*time.Second)
	if len(k.unparsed["DWOLLA_MAX_CONCURRENT"]) == 0 && (k.MaxCalls < 1 || k.MaxCalls > 10000) {
		k.fail("DWOLLA_MAX_CONCURRENT", fmt.Sprintf("%d is not between 1 and 10000", k.MaxCalls))
	}
}

func (k checker) listeners() {
	if k.MaxHeader != 0 && len(k.unparsed["HTTP_MAX_HEADER_BYTES"]) == 0 && (k.MaxHeader < 8<<10 || k.MaxHeader > 64<<10) {
		k.fail("HTTP_MAX_HEADER_BYTES", fmt.Sprintf("%d is not between 8192 and 65536", k.MaxHeader))
	}
	for name, addr := range map[string]string{"HTTP_ADDR": k.HTTPAddr, "ADMIN_ADDR": k.AdminAddr} {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			k.fail(name, "is not HOST:PORT")
		} else if number, err := strconv.Atoi(port); err == nil && (number < 0 || number > 65535) {
			k.fail(name, "has a port that is not between 0 and 65535")
		} else if _, unknown := net.LookupPort("tcp", port); unknown != nil { //nolint:noctx // reads a table, not the network
			k.fail(name, "has an unknown port")
		}
	}
	if k.HTTPAddr == k.AdminAddr && !strings.HasSuffix(k.HTTPAddr, ":0") {
		k.fail("ADMIN_ADDR", "is the same as HTTP_ADDR, which would publish metrics and probes")
	}
}

func (k checker) origins() {
	if !regexp.MustCompile(`^(/[A-Za-z0-9_-]+)*$`).MatchString(k.BasePath) {
		k.fail("BASE_PATH", "must start with a slash and consist of letters, digits, -, _ and slashes")
	}
	for _, origin := range k.AllowedOrigins {
		if err := checkOrigin(origin, k.Environment); err != nil {
			k.fail("ALLOWED_ORIGINS", err.Error())
		}
	}
}

func (k checker) operation() {
	if k.LogFormat != "json" && k.LogFormat != "console" {
		k.fail("LOG_FORMAT", "must be json or console")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, k.LogLevel) {
		k.fail("LOG_LEVEL", "must be debug, info, warn or error")
	}
	k.within("SHUTDOWN_DELAY", k.ShutdownDelay, 0, 5*time.Minute)
	k.within("SHUTDOWN_TIMEOUT", k.ShutdownTimeout, time.Second, 5*time.Minute)
}
