package auth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxParameter bounds the value of one parameter from the browser, in bytes.
const maxParameter = 255

// ParseParameters parses fixed parameters of every sign-in, such as
// "audience=https://api.example.com&prompt=login". The service sets some parameters
// itself. Those are refused.
func ParseParameters(text string) (url.Values, error) {
	values, err := url.ParseQuery(text)
	if err != nil {
		return nil, errors.New("is not in the form name=value&name=value")
	}
	for name, given := range values {
		if err := CheckParameter(name); err != nil {
			return nil, err
		}
		if len(given) != 1 {
			return nil, fmt.Errorf("has %.100q twice", name)
		}
	}
	return values, nil
}

// CheckParameter refuses the names of parameters that the service sets itself.
func CheckParameter(name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, " \t&=#"):
		return fmt.Errorf("%.100q is not the name of a parameter", name)
	case slices.Contains([]string{
		"client_id", "client_secret", "client_assertion", "client_assertion_type", "code_challenge", "code_challenge_method", "nonce", "redirect_uri",
		"request", "request_uri", "response_mode", "response_type", "scope", "state", "return_to",
	}, strings.ToLower(name)):
		return fmt.Errorf("%.100q is a parameter that the service sets itself", name)
	}
	return nil
}

// parameters returns the parameters of a sign-in besides those of the protocol. The
// fixed ones win over those from the browser. The error is a *ProtocolError.
func (o *OIDC) parameters(r *http.Request) (url.Values, error) {
	all := url.Values{}
	given := r.URL.Query()
	for _, name := range o.config.PassParameters {
		values, ok := given[name]
		if !ok || values[0] == "" {
			continue
		}
		if len(values) > 1 || len(values[0]) > maxParameter || strings.ContainsFunc(values[0], isControl) {
			return nil, &ProtocolError{"return_to", fmt.Sprintf("%s is given twice, has more than %d bytes, or has a control character", name, maxParameter)}
		}
		all[name] = values
	}
	maps.Copy(all, o.config.Parameters)
	return all, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
