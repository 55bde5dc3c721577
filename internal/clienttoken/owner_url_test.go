package clienttoken_test

import (
	"strings"
	"testing"

	"dropgate/internal/clienttoken"
)

func TestParseBeneficialOwnerURLCanonicalizes(t *testing.T) {
	a := api(t, clienttoken.Production, gatewayURL)
	for _, root := range []string{"gateway.bank.example:8443/dwolla/v1", "api.dwolla.com"} {
		for _, s := range spellings(root, "beneficial-owners", alicesOwnerID) {
			got, err := clienttoken.ParseBeneficialOwnerURL(a, s.url)
			want := gatewayURL + "/beneficial-owners/" + alicesOwnerID
			if err != nil || got.String() != want || got.IsZero() {
				t.Errorf("%s: %s, %v; want %s", s.url, got, err, want)
			}
			if again, err := clienttoken.ParseBeneficialOwnerURL(a, got.String()); err != nil || again != got {
				t.Errorf("the canonical form parses to %s, %v", again, err)
			}
		}
	}
}

func TestParseBeneficialOwnerURLRefusesTricks(t *testing.T) {
	a := api(t, clienttoken.Sandbox, "")
	refused := tricks("beneficial-owners", alicesOwnerID)
	for _, s := range spellings("api-sandbox.dwolla.com", "customers", alicesOwnerID) {
		refused = append(refused, spelling{"a Customer: " + s.name, s.url})
	}
	for _, s := range refused {
		if got, err := clienttoken.ParseBeneficialOwnerURL(a, s.url); err == nil || !got.IsZero() {
			t.Errorf("%s: ParseBeneficialOwnerURL(%.200q) = %s, %v; want an error and no owner", s.name, s.url, got, err)
		}
	}
}

func TestParseBeneficialOwnerIDAcceptsOnlyUUIDs(t *testing.T) {
	a := api(t, clienttoken.Sandbox, "")
	got, err := clienttoken.ParseBeneficialOwnerID(a, strings.ToUpper(alicesOwnerID))
	if err != nil || got.String() != ownerHref(alicesOwnerID) {
		t.Errorf("ParseBeneficialOwnerID of capitals = %s, %v", got, err)
	}
	byURL, err := clienttoken.ParseBeneficialOwnerURL(a, ownerHref(alicesOwnerID))
	if err != nil || byURL != got {
		t.Errorf("by URL %s, %v, by id %s: not equal", byURL, err, got)
	}
	for _, id := range badIDs() {
		if got, err := clienttoken.ParseBeneficialOwnerID(a, id); err == nil || !got.IsZero() {
			t.Errorf("ParseBeneficialOwnerID(%q) = %s, %v; want an error and no owner", id, got, err)
		}
	}
}
