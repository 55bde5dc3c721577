package emulator_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"dropgate/internal/dwolla/emulator"
)

func Example() {
	dwolla := emulator.New(emulator.Options{ClientID: "key", ClientSecret: "secret"})
	server := httptest.NewServer(dwolla) // DWOLLA_BASE_URL is server.URL
	defer server.Close()

	customer, err := dwolla.AddCustomer(emulator.Customer{FirstName: "Ada"})
	if err != nil {
		panic(err)
	}
	dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{
		Times: 1, Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"300"}},
	})

	// ... let the code under test vend a token for customer.ID, then look:
	fmt.Println(customer.FirstName, dwolla.Calls(emulator.OpCreateClientToken), len(dwolla.ClientTokens()))
	// Output: Ada 0 0
}
