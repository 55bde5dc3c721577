package app

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"dropgate/internal/clienttoken"
	"dropgate/internal/handler"
)

// The bounds of ADMIN_TOKEN.
const (
	mostOperators   = 16
	leastAdminToken = 32 // characters
)

// parseOperators reads ADMIN_TOKEN: a comma-separated list of NAME:ro:TOKEN and
// NAME:rw:TOKEN, or one token of an operator named admin with write access. No
// error shows a token.
func parseOperators(setting clienttoken.Secret) (handler.Operators, error) {
	text := setting.Reveal()
	if !strings.ContainsAny(text, ":,") {
		only, err := parseOperator("admin:rw:" + text)
		return handler.Operators{only}, err
	}
	var all handler.Operators
	for i, member := range strings.Split(text, ",") {
		next, err := parseOperator(strings.TrimSpace(member))
		if err != nil {
			return nil, fmt.Errorf("token %d %w", i+1, err)
		}
		for _, earlier := range all {
			if earlier.Name == next.Name || earlier.Token.Reveal() == next.Token.Reveal() {
				return nil, fmt.Errorf("token %d has the name or the token of an earlier one", i+1)
			}
		}
		all = append(all, next)
	}
	if len(all) > mostOperators {
		return nil, fmt.Errorf("there are more than %d tokens", mostOperators)
	}
	return all, nil
}

// operators returns who may use the operators' API at each moment; nil without
// ADMIN_TOKEN.
func (a *App) operators() func() handler.Operators {
	if len(a.config.operators) == 0 {
		return nil
	}
	return func() handler.Operators { return a.live.Load().operators }
}

// operatedSessions returns the sessions that operators see and end; nil without the mode
// oidc.
func (a *App) operatedSessions() handler.Sessions {
	if a.signIn.oidc == nil {
		return nil
	}
	return a.signIn.oidc
}

func parseOperator(member string) (handler.Operator, error) {
	parts := regexp.MustCompile(`^([a-z0-9-]{1,32}):(ro|rw):(.*)$`).FindStringSubmatch(member)
	if parts == nil {
		return handler.Operator{}, errors.New("is not NAME:ro:TOKEN or NAME:rw:TOKEN, with a name of at most 32 characters from a-z, 0-9 and - (only a single token without : and , needs no name)")
	}
	token := parts[3]
	switch {
	case len(token) < leastAdminToken:
		return handler.Operator{}, fmt.Errorf("is shorter than %d characters", leastAdminToken)
	case !regexp.MustCompile(`^[!-~]+$`).MatchString(token):
		return handler.Operator{}, errors.New("has a space or a non-ASCII character, which an Authorization header cannot carry")
	case guessable(token):
		return handler.Operator{}, errors.New(guessableFault)
	}
	return handler.Operator{Name: parts[1], Write: parts[2] == "rw", Token: clienttoken.NewSecret(token)}, nil
}

// adminHost returns a host as a request's Host header writes it, without a port.
func adminHost(host string) (string, error) {
	inside := strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if addr, err := netip.ParseAddr(inside); err == nil {
		return addr.Unmap().WithZone("").String(), nil
	}
	name, err := browserHost(host)
	if err != nil || strings.ContainsAny(host, ":/@?#*") {
		return "", errors.New("is not a host name or address without a port, such as dropgate.payments.svc")
	}
	return strings.TrimSuffix(name, "."), nil
}
