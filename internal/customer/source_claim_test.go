package customer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
	"dropgate/internal/customer"
)

// userSaying returns a user with claims, a JSON object.
func userSaying(tb testing.TB, claims string) clienttoken.User {
	tb.Helper()
	user := clienttoken.User{ID: "ann"}
	if err := json.Unmarshal([]byte(claims), &user.Claims); err != nil {
		tb.Fatal(err)
	}
	return user
}

func TestClaimNamesTheCustomer(t *testing.T) {
	directory := customer.Claim{API: sandbox(t), Name: "dropgate_customer"}
	for _, value := range []string{
		customerA,
		strings.ToUpper(customerA),
		"https://api-sandbox.dwolla.com/customers/" + customerA,
		"http://API-SANDBOX.dwolla.com/customers/" + strings.ToUpper(customerA) + "/",
	} {
		user := userSaying(t, `{"sub":"ann","dropgate_customer":"`+value+`"}`)
		got, err := directory.Customer(t.Context(), user)
		if err != nil || got != customerURL(t, customerA) {
			t.Errorf("claim %q: got %q, %v", value, got, err)
		}
	}
}

func TestAbsentClaimMeansNoCustomer(t *testing.T) {
	directory := customer.Claim{API: sandbox(t), Name: "dropgate_customer"}
	for _, claims := range []string{
		`null`,
		`{}`,
		`{"Dropgate_Customer":"` + customerA + `"}`,
		`{"dropgate_customer":null}`,
		`{"dropgate_customer":""}`,
	} {
		got, err := directory.Customer(t.Context(), userSaying(t, claims))
		if !errors.Is(err, clienttoken.ErrNoCustomer) || !got.IsZero() {
			t.Errorf("claims %s: got %q, %v; want ErrNoCustomer", claims, got, err)
		}
	}
}

func TestBrokenClaimFailsClosed(t *testing.T) {
	directory := customer.Claim{API: sandbox(t), Name: "dropgate_customer"}
	for _, value := range []string{
		`0`, `12345`, `true`, `false`, `{}`, `[]`,
		`["` + customerA + `"]`,
		`{"href":"https://api-sandbox.dwolla.com/customers/` + customerA + `"}`,
		`" "`, `"/"`, `"none"`,
		`" ` + customerA + `"`,
		`"` + customerA + `0"`,
		`"https://api.dwolla.com/customers/` + customerA + `"`,
		`"https://evil.example/customers/` + customerA + `"`,
		`"https://api-sandbox.dwolla.com@evil.example/customers/` + customerA + `"`,
		`"https://api-sandbox.dwolla.com/customers/` + customerA + `?x=1"`,
		`"https://api-sandbox.dwolla.com/accounts/` + customerA + `"`,
		`"` + strings.Repeat("/", 1<<20) + `"`,
	} {
		got, err := directory.Customer(t.Context(), userSaying(t, `{"dropgate_customer":`+value+`}`))
		wantFailure(t, err)
		if !got.IsZero() {
			t.Errorf("value %.100s: got %q beside the error", value, got)
		}
		if text := err.Error(); !strings.Contains(text, `"dropgate_customer"`) || len(text) > 500 {
			t.Errorf("value %.100s: the error does not name the claim, or is too long: %.600s", value, text)
		}
		if failure, _ := errors.AsType[*clienttoken.Failure](err); !strings.Contains(failure.Remedy, `"dropgate_customer"`) {
			t.Errorf("value %.100s: the operator reads %q", value, failure.Remedy)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	directory := customer.Claim{API: sandbox(b), Name: "dropgate_customer"}
	for name, value := range map[string]string{
		"id":  customerA,
		"url": "https://api-sandbox.dwolla.com/customers/" + customerA,
	} {
		b.Run(name, func(b *testing.B) {
			user := userSaying(b, `{"dropgate_customer":"`+value+`"}`)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := directory.Customer(b.Context(), user); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
