package handler_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// faults lists "Code path" of the embedded errors.
func (a *answer) faults(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, f := range a.problem.Embedded.Errors {
		if f.Message == "" {
			t.Errorf("the fault at %s has no message", f.Path)
		}
		all = append(all, f.Code+" "+f.Path)
	}
	return all
}

func TestValidationErrorsNameTheMember(t *testing.T) {
	w := newWorld(t)
	linked := func(link string) string { return `{"action":"customer.read","_links":{"customer":` + link + `}}` }
	for name, row := range map[string]struct {
		content string
		faults  []string
	}{
		"no members":              {`{}`, []string{"Required /action"}},
		"no action":               {`{"_links":{}}`, []string{"Required /action"}},
		"action only in a case":   {`{"Action":"customer.read"}`, []string{"Required /action"}},
		"action null":             {`{"action":null}`, []string{"Required /action"}},
		"action empty":            {`{"action":""}`, []string{"Required /action"}},
		"action a number":         {`{"action":1}`, []string{"Invalid /action"}},
		"action true":             {`{"action":true}`, []string{"Invalid /action"}},
		"action an array":         {`{"action":["customer.read"]}`, []string{"Invalid /action"}},
		"action an object":        {`{"action":{}}`, []string{"Invalid /action"}},
		"action huge":             {`{"action":"` + strings.Repeat("a", 60_000) + `"}`, []string{"Invalid /action"}},
		"action one too long":     {`{"action":"` + strings.Repeat("é", 256) + `"}`, []string{"Invalid /action"}},
		"_links a string":         {`{"action":"customer.read","_links":"x"}`, []string{"Invalid /_links"}},
		"_links an array":         {`{"action":"customer.read","_links":[]}`, []string{"Invalid /_links"}},
		"_links a number":         {`{"action":"customer.read","_links":1}`, []string{"Invalid /_links"}},
		"_links false":            {`{"action":"customer.read","_links":false}`, []string{"Invalid /_links"}},
		"links a string":          {`{"action":"customer.read","links":"x"}`, []string{"Invalid /links"}},
		"customer an array":       {linked(`[{"href":"https://x.example"}]`), []string{"Invalid /_links/customer"}},
		"customer a string":       {linked(`"https://x.example"`), []string{"Invalid /_links/customer"}},
		"customer true":           {linked(`true`), []string{"Invalid /_links/customer"}},
		"customer without href":   {linked(`{}`), []string{"Required /_links/customer/href"}},
		"Href in another case":    {linked(`{"Href":"https://api-sandbox.dwolla.com/customers/` + alicesID + `"}`), []string{"Required /_links/customer/href"}},
		"href null":               {linked(`{"href":null}`), []string{"Required /_links/customer/href"}},
		"href empty":              {linked(`{"href":""}`), []string{"Required /_links/customer/href"}},
		"href a number":           {linked(`{"href":7}`), []string{"Invalid /_links/customer/href"}},
		"href an array":           {linked(`{"href":["https://x.example"]}`), []string{"Invalid /_links/customer/href"}},
		"href an object":          {linked(`{"href":{"href":"https://x.example"}}`), []string{"Invalid /_links/customer/href"}},
		"href an id":              {linked(`{"href":"` + alicesID + `"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href a path":             {linked(`{"href":"/customers/` + alicesID + `"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href white space":        {linked(`{"href":" "}`), []string{"InvalidFormat /_links/customer/href"}},
		"href without a scheme":   {linked(`{"href":"//api-sandbox.dwolla.com/customers/` + alicesID + `"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href of another scheme":  {linked(`{"href":"ftp://api-sandbox.dwolla.com/customers/` + alicesID + `"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href a script":           {linked(`{"href":"javascript:alert(1)"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href without a host":     {linked(`{"href":"https:///customers/` + alicesID + `"}`), []string{"InvalidFormat /_links/customer/href"}},
		"href too long":           {linked(`{"href":"https://x.example/` + strings.Repeat("a", 2048) + `"}`), []string{"Invalid /_links/customer/href"}},
		"owner without href":      {`{"action":"customer.read","links":{"beneficial-owner":{}}}`, []string{"Required /links/beneficial-owner/href"}},
		"several":                 {`{"_links":{"customer":{}}}`, []string{"Required /action", "Required /_links/customer/href"}},
		"destination":             {`{"action":"customer.read","_links":{"destination":{"href":"https://api-sandbox.dwolla.com/funding-sources/` + bobsID + `"}}}`, []string{"NotAllowed /_links/destination"}},
		"destination in links":    {`{"action":"customer.read","links":{"destination":{"href":"https://x.example"}}}`, []string{"NotAllowed /links/destination"}},
		"destination null":        {`{"action":"customer.read","_links":{"destination":null}}`, []string{"NotAllowed /_links/destination"}},
		"destination a string":    {`{"action":"customer.read","_links":{"destination":"x"}}`, []string{"NotAllowed /_links/destination"}},
		"client":                  {`{"action":"customer.read","links":{"client":{"href":"https://x.example"}}}`, []string{"NotAllowed /links/client"}},
		"source and self":         {`{"action":"customer.read","_links":{"source":{},"self":{}}}`, []string{"NotAllowed /_links/self", "NotAllowed /_links/source"}},
		"Customer in other case":  {`{"action":"customer.read","_links":{"Customer":{"href":"https://x.example"}}}`, []string{"NotAllowed /_links/Customer"}},
		"an empty relation":       {`{"action":"customer.read","_links":{"":{"href":"https://x.example"}}}`, []string{"NotAllowed /_links/"}},
		"a relation with /":       {`{"action":"customer.read","_links":{"a/b":{}}}`, []string{"NotAllowed /_links/a~1b"}},
		"a relation with ~":       {`{"action":"customer.read","_links":{"a~1b":{}}}`, []string{"NotAllowed /_links/a~01b"}},
		"a relation with .":       {`{"action":"customer.read","_links":{"a.b":{}}}`, []string{"NotAllowed /_links/a.b"}},
		"a relation with [":       {`{"action":"customer.read","_links":{"a[0].b]":{}}}`, []string{"NotAllowed /_links/a[0].b]"}},
		"a relation of the other": {`{"action":"customer.read","_links":{"customer.href":{}}}`, []string{"NotAllowed /_links/customer.href"}},
		"a type beside / and ~":   {`{"action":"customer.read","_links":{"a/~b":1}}`, []string{"NotAllowed /_links/a~1~0b"}},
		"unknown ones in both":    {`{"action":"customer.read","_links":{"b":{}},"links":{"a":{}}}`, []string{"NotAllowed /_links/b", "NotAllowed /links/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, row.content)
			a.refused(t, http.StatusBadRequest, "ValidationError")
			if diff := cmp.Diff(row.faults, a.faults(t)); diff != "" {
				t.Errorf("faults (-want +got):\n%s", diff)
			}
			if a.problem.Message != "Validation error(s) present. See embedded errors list for more details." {
				t.Errorf("the message is %q", a.problem.Message)
			}
		})
	}
}

func TestUnknownRelationIsNamed(t *testing.T) {
	w := newWorld(t)
	a := w.vend(t, alice, `{"action":"customer.read","_links":{"destination":{"href":"https://x.example"}},"amount":{"value":"1.00"}}`)
	a.refused(t, http.StatusBadRequest, "ValidationError")
	if !strings.Contains(a.problem.Embedded.Errors[0].Message, `"destination"`) {
		t.Errorf("the fault says %q", a.problem.Embedded.Errors[0].Message)
	}
	if !strings.Contains(a.audit.text("reason"), "/_links/destination") {
		t.Errorf("the audit line says %q", a.audit["reason"])
	}
}

func TestErrorResponseIsSmallForAnyRequest(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 10<<10)
	many := map[string]struct{}{}
	for i := range 5000 {
		many[fmt.Sprint("r", i)] = struct{}{}
	}
	relations, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		content string
		faults  int
	}{
		"5 000 relations":           {`{"action":"customer.read","_links":` + string(relations) + `}`, 20},
		"a long relation":           {`{"action":"customer.read","_links":{"` + long + `":{}}}`, 1},
		"a long relation of é":      {`{"action":"customer.read","_links":{"` + strings.Repeat("é", 10<<10) + `":{}}}`, 1},
		"a long relation of ~":      {`{"action":"customer.read","_links":{"` + strings.Repeat("~", 10<<10) + `":{}}}`, 1},
		"a long relation and type":  {`{"action":"customer.read","_links":{"` + long + `":1}}`, 1},
		"a long ~ relation, a type": {`{"action":"customer.read","_links":{"` + strings.Repeat("~", 10<<10) + `":1}}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, row.content)
			a.refused(t, http.StatusBadRequest, "ValidationError")
			if got := len(a.problem.Embedded.Errors); got != row.faults {
				t.Fatalf("%d embedded errors, want %d", got, row.faults)
			}
			if reason := a.access.Reason; len(a.body) > 8<<10 || len(reason) > 1000 {
				t.Errorf("the answer has %d bytes, the reason in the log %d", len(a.body), len(reason))
			}
			if path := a.problem.Embedded.Errors[0].Path; strings.HasSuffix(strings.ReplaceAll(path, "~0", ""), "~") {
				t.Errorf("the path ends in half an escape: %.300s", path)
			}
		})
	}
}

func TestBothSpellingsOfLinksMustAgree(t *testing.T) {
	w := newWorld(t)
	own := `{"customer":{"href":"https://api-sandbox.dwolla.com/customers/ALICE"}}`
	for name, content := range map[string]string{
		"two Customers":         `{"action":"customer.read","links":` + own + `,"_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/BOB"}}}`,
		"two spellings":         `{"action":"customer.read","links":` + own + `,"_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/UPPER"}}}`,
		"one of them empty":     `{"action":"customer.read","links":` + own + `,"_links":{}}`,
		"the other empty":       `{"action":"customer.read","links":{},"_links":` + own + `}`,
		"a relation more":       `{"action":"customer.read","links":` + own + `,"_links":{"customer":{"href":"https://api-sandbox.dwolla.com/customers/ALICE"},"beneficial-owner":{"href":"ROOT/beneficial-owners/OWNER"}}}`,
		"one relation in each":  `{"action":"customer.read","links":` + own + `,"_links":{"beneficial-owner":{"href":"ROOT/beneficial-owners/OWNER"}}}`,
		"an owner by relations": `{"action":"customer.read","links":{"customer":{"href":"ROOT/customers/ALICE"}},"_links":{"customer":{"href":"ROOT/customers/BOB"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			a := w.vend(t, alice, w.filled(content))
			a.refused(t, http.StatusBadRequest, "BadRequest")
			if !strings.Contains(a.problem.Message, "differ") {
				t.Errorf("the message is %q", a.problem.Message)
			}
		})
	}
}
