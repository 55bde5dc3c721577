package clienttoken_test

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

// gatewayURL is a base URL with every permitted part.
const gatewayURL = "https://gateway.bank.example:8443/dwolla/v1"

func TestParseCustomerURLCanonicalizes(t *testing.T) {
	tests := []struct {
		api   clienttoken.API
		roots []string // under which a Customer may be named
	}{
		{api(t, clienttoken.Sandbox, ""), []string{"api-sandbox.dwolla.com"}},
		{api(t, clienttoken.Production, ""), []string{"api.dwolla.com"}},
		{
			api(t, clienttoken.Sandbox, "http://127.0.0.1:17188"),
			[]string{"127.0.0.1:17188", "api-sandbox.dwolla.com"},
		},
		{
			api(t, clienttoken.Sandbox, "http://[::1]:17188/"),
			[]string{"[::1]:17188", "api-sandbox.dwolla.com"},
		},
		{
			api(t, clienttoken.Production, gatewayURL),
			[]string{"gateway.bank.example:8443/dwolla/v1", "api.dwolla.com"},
		},
	}
	for _, test := range tests {
		var accepted []spelling
		for _, root := range test.roots {
			accepted = append(accepted, spellings(root, "customers", alicesID)...)
		}
		for _, s := range accepted {
			t.Run(s.url, func(t *testing.T) {
				got, err := clienttoken.ParseCustomerURL(test.api, s.url)
				if err != nil || got.ID() != alicesID || got.IsZero() {
					t.Errorf("%s: ID() = %q, IsZero() = %t, %v", s.name, got.ID(), got.IsZero(), err)
				}
				checkCanonical(t, test.api, got)
			})
		}
	}
}

func TestParseCustomerURLChecksTheEnvironment(t *testing.T) {
	for env, want := range map[clienttoken.Environment]string{
		clienttoken.Sandbox:    "https://api-sandbox.dwolla.com/customers/" + alicesID,
		clienttoken.Production: "https://api.dwolla.com/customers/" + alicesID,
	} {
		a := api(t, env, "")
		if got := a.Root() + "/customers/" + alicesID; got != want {
			t.Errorf("%s: the root makes %s, want %s", env, got, want)
		}
		if got, err := clienttoken.ParseCustomerURL(a, want); err != nil || got.String() != want {
			t.Errorf("%s: ParseCustomerURL(%s) = %s, %v", env, want, got, err)
		}
	}
}

func TestCustomersAreEqualByID(t *testing.T) {
	a := api(t, clienttoken.Sandbox, "http://127.0.0.1:17188")
	byID, err := clienttoken.ParseCustomerID(a, strings.ToUpper(alicesID))
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{"127.0.0.1:17188", "api-sandbox.dwolla.com"} {
		for _, s := range spellings(root, "customers", alicesID) {
			if got, err := clienttoken.ParseCustomerURL(a, s.url); err != nil || got != byID {
				t.Errorf("%s: %s, %v; want it equal to %s", s.url, got, err, byID)
			}
		}
		for _, s := range spellings(root, "customers", bobsID) {
			if got, err := clienttoken.ParseCustomerURL(a, s.url); err != nil || got == byID {
				t.Errorf("%s: %s, %v; want it different from %s", s.url, got, err, byID)
			}
		}
	}
}

func TestParseCustomerURLRefusesTricks(t *testing.T) {
	a := api(t, clienttoken.Sandbox, "")
	refused := tricks("customers", alicesID)
	for _, s := range spellings("api-sandbox.dwolla.com", "beneficial-owners", alicesID) {
		refused = append(refused, spelling{"a beneficial owner: " + s.name, s.url})
	}
	for _, s := range spellings("api.dwolla.com", "customers", alicesID) {
		refused = append(refused, spelling{"production: " + s.name, s.url})
	}
	for _, s := range refused {
		t.Run(s.name, func(t *testing.T) {
			got, err := clienttoken.ParseCustomerURL(a, s.url)
			if err == nil || !got.IsZero() {
				t.Errorf("ParseCustomerURL(%.200q) = %s, %v; want an error and no Customer", s.url, got, err)
			}
		})
	}
}

func TestParseCustomerURLRefusesOtherRoots(t *testing.T) {
	emulator := api(t, clienttoken.Sandbox, "http://127.0.0.1:17188")
	gateway := api(t, clienttoken.Production, gatewayURL)
	path := "/customers/" + alicesID
	for name, test := range map[string]struct {
		api clienttoken.API
		url string
	}{
		"sandbox, production's host":      {emulator, "https://api.dwolla.com" + path},
		"emulator, no port":               {emulator, "http://127.0.0.1" + path},
		"emulator, other port":            {emulator, "http://127.0.0.1:17189" + path},
		"emulator, longer port":           {emulator, "http://127.0.0.1:171880" + path},
		"emulator, port with a zero":      {emulator, "http://127.0.0.1:017188" + path},
		"emulator, its other name":        {emulator, "http://localhost:17188" + path},
		"emulator, address in short":      {emulator, "http://127.1:17188" + path},
		"emulator's port at Dwolla":       {emulator, "https://api-sandbox.dwolla.com:17188" + path},
		"production, sandbox's host":      {gateway, "https://api-sandbox.dwolla.com" + path},
		"gateway, no path prefix":         {gateway, "https://gateway.bank.example:8443" + path},
		"gateway, half of the prefix":     {gateway, "https://gateway.bank.example:8443/dwolla" + path},
		"gateway, other prefix":           {gateway, "https://gateway.bank.example:8443/dwolla/v2" + path},
		"gateway, longer prefix":          {gateway, gatewayURL + "/v1" + path},
		"gateway, dots around the prefix": {gateway, "https://gateway.bank.example:8443/x/../dwolla/v1" + path},
		"gateway, no port":                {gateway, "https://gateway.bank.example/dwolla/v1" + path},
		"gateway, Kelvin sign":            {gateway, "https://gateway.ban\u212a.example:8443/dwolla/v1" + path},
		"gateway's prefix at Dwolla":      {gateway, "https://api.dwolla.com/dwolla/v1" + path},
		"the zero API, Dwolla's host":     {clienttoken.API{}, "https://api.dwolla.com" + path},
		"the zero API, no host":           {clienttoken.API{}, "https://" + path},
		"the zero API, only a path":       {clienttoken.API{}, path},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := clienttoken.ParseCustomerURL(test.api, test.url); err == nil || !got.IsZero() {
				t.Errorf("ParseCustomerURL(%q) = %s, %v; want an error and no Customer", test.url, got, err)
			}
		})
	}
}

func TestParseCustomerURLErrorIsShort(t *testing.T) {
	a := api(t, clienttoken.Sandbox, "")
	for _, s := range []string{strings.Repeat("a", 1<<20), "https://" + strings.Repeat("\x00", 2000)} {
		_, err := clienttoken.ParseCustomerURL(a, s)
		if err == nil {
			t.Fatal("no error")
		}
		if n := len(err.Error()); n > 1000 {
			t.Errorf("the error has %d bytes, so a caller decides how long a log line is", n)
		}
	}
}

func TestParseCustomerIDAcceptsOnlyUUIDs(t *testing.T) {
	a := api(t, clienttoken.Production, gatewayURL)
	for _, id := range []string{alicesID, strings.ToUpper(alicesID), nobodysID} {
		got, err := clienttoken.ParseCustomerID(a, id)
		want := strings.ToLower(id)
		if err != nil || got.ID() != want || got.String() != gatewayURL+"/customers/"+want {
			t.Errorf("ParseCustomerID(%q) = %s, %v", id, got, err)
		}
	}
	for _, id := range append(badIDs(), customerHref(alicesID)) {
		if got, err := clienttoken.ParseCustomerID(a, id); err == nil || !got.IsZero() {
			t.Errorf("ParseCustomerID(%q) = %s, %v; want an error and no Customer", id, got, err)
		}
	}
}

func badIDs() []string {
	return []string{
		"", " ", "null", "1", alicesID[:35], alicesID + "0", " " + alicesID, alicesID + "\n", "{" + alicesID + "}",
		strings.ReplaceAll(alicesID, "-", ""), strings.ReplaceAll(alicesID, "-", "0"), strings.ReplaceAll(alicesID, "-", "/"),
		"../" + alicesID[3:], alicesID[:35] + "g", alicesID[:35] + "/", "\uff17" + alicesID[3:], strings.Repeat("-", 36),
		alicesID[:33] + "%2f", alicesID + "?a", alicesID + "/",
	}
}

func TestZeroURLsNameNothing(t *testing.T) {
	var c clienttoken.CustomerURL
	var o clienttoken.BeneficialOwnerURL
	if !c.IsZero() || c.ID() != "" || c.String() != "" || !o.IsZero() || o.String() != "" {
		t.Errorf("the zero CustomerURL is %q, the zero BeneficialOwnerURL %q", c, o)
	}
}
