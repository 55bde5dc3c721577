package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"

	"dropgate/internal/auth/provider"
)

const readBank = `{"action":"customer.fundingsources.read"}`

func TestPolicySwitchAppliesToNextToken(t *testing.T) {
	s := startSandbox(t)
	if got := s.vend("bob", `{"action":"customer.update"}`); got.text("code") != "ActionNotAllowed" {
		t.Errorf("bob starts with %v, want the read-only policy", got)
	}
	for policy, want := range map[string]int{"none": http.StatusForbidden, "read-only": http.StatusOK, "all": http.StatusOK} {
		if got := s.do(http.MethodPost, "/demo/policy", `{"user":"bob","policy":"`+policy+`"}`); got.status != http.StatusOK {
			t.Fatalf("the switch answers %v", got)
		}
		if got := s.vend("bob", readBank); got.status != want {
			t.Errorf("with the policy %s: %v, want %d", policy, got, want)
		}
		if got := s.do(http.MethodGet, "/demo/state?user=bob", ""); got.text("policy") != policy || got.text("rule") != "sandbox policy "+policy {
			t.Errorf("with the policy %s, the state is %v", policy, got)
		}
	}
	if got := s.vend("alice", readBank); got.status != http.StatusOK {
		t.Errorf("bob's policy affects alice: %v", got)
	}
}

func TestDemoRefusesMalformedRequests(t *testing.T) {
	s := startSandbox(t)
	for path, bodies := range map[string][]string{
		"/demo/policy": {
			``, `[]`, `{"user":"bob"}`, `{"user":"bob","policy":"everything"}`, `{"user":"mallory","policy":"all"}`,
			`{"user":"bob","policy":"all","and":1}`, `{"user":"` + strings.Repeat("b", maxDemoBody) + `","policy":"all"}`,
		},
		"/demo/fault": {``, `{"fault":"fire"}`, `{"fault":7}`},
	} {
		for _, body := range bodies {
			if got := s.do(http.MethodPost, path, body); got.status != http.StatusBadRequest || got.text("code") != "BadRequest" {
				t.Errorf("%s %.60s: %v", path, body, got)
			}
		}
		if got := s.do(http.MethodPost, path, `{}`, "Content-Type: text/plain"); got.status != http.StatusUnsupportedMediaType {
			t.Errorf("%s as text: %v", path, got)
		}
	}
	for _, path := range []string{"/demo/attack/everything", "/demo/nothing", "/nothing"} {
		if got := s.do(http.MethodPost, path, ""); got.status != http.StatusNotFound {
			t.Errorf("%s: %v", path, got)
		}
	}
}

func TestFaultStrikesVendsUntilSwitchedOff(t *testing.T) {
	s := startSandbox(t)
	for _, c := range []struct {
		fault string
		want  int
	}{{"throttle", http.StatusServiceUnavailable}, {"none", http.StatusOK}} {
		if got := s.do(http.MethodPost, "/demo/fault", `{"fault":"`+c.fault+`"}`); got.status != http.StatusOK {
			t.Fatalf("the switch answers %v", got)
		}
		if got := s.do(http.MethodGet, "/demo/state", ""); got.text("fault") != c.fault {
			t.Errorf("with the fault %s, the state is %v", c.fault, got)
		}
		// The service itself waits for the Retry-After of the last 429.
		until(t, func() bool { return s.vend("alice", readBank).status == c.want })
	}
}

func TestNewUserSignsInWithoutCustomer(t *testing.T) {
	s := startSandbox(t)
	made := s.do(http.MethodPost, "/demo/new-user", "")
	user := made.text("user")
	if made.status != http.StatusCreated || user == "" {
		t.Fatalf("a new user: %v", made)
	}
	if got := s.vend(user, readBank); got.text("code") != "CustomerNotLinked" {
		t.Errorf("the new user gets %v, want CustomerNotLinked", got)
	}
	got := s.do(http.MethodGet, "/demo/state?user="+user, "")
	if got.text("policy") != "all" || got.body["entry"] != nil {
		t.Errorf("the new user's state is %v", got)
	}
}

func TestNewUsersAreBounded(t *testing.T) {
	p, err := provider.New(provider.Options{Issuer: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	var r roster
	for range maxNewUsers {
		if _, err := r.add(p); err != nil {
			t.Fatal(err)
		}
	}
	if made, err := r.add(p); err == nil {
		t.Errorf("the roster made %v", made)
	}
}

func TestStateShowsDirectoryEntry(t *testing.T) {
	s := startSandbox(t)
	got := s.do(http.MethodGet, "/demo/state?user=alice", "")
	entry, _ := got.body["entry"].(map[string]any)
	customer, _ := entry["customer"].(map[string]any)
	if customer["id"] != demoAlice {
		t.Errorf("the state is %v", got)
	}
	if got := s.do(http.MethodGet, "/demo/state?user=mallory", ""); got.text("user") != "" || got.body["entry"] != nil {
		t.Errorf("an unknown user's state is %v", got)
	}
}

func TestServerSideAttacksAreRefused(t *testing.T) {
	s := startSandbox(t)
	for name, wantSteps := range map[string]int{"replayed-cookie": 3, "forged-webhook": 1} {
		got := s.do(http.MethodPost, "/demo/attack/"+name, "")
		steps, _ := got.body["steps"].([]any)
		if got.status != http.StatusOK || got.body["refused"] != true || len(steps) != wantSteps {
			t.Errorf("%s: %v", name, got)
			continue
		}
		if last, _ := steps[wantSteps-1].(map[string]any); last["code"] != "Unauthenticated" {
			t.Errorf("%s ends with %v", name, last)
		}
		if first, _ := steps[0].(map[string]any); wantSteps > 1 && first["status"] != float64(http.StatusOK) {
			t.Errorf("before the sign-out the cookie gets %v, so the attack proves nothing", first)
		}
	}
}

func TestInspectorShowsVendWithItsDuration(t *testing.T) {
	s := startSandbox(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.public+"/demo/events", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	token := s.vend("alice", readBank).text("token")
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		if token == "" || strings.Contains(line, token) {
			t.Fatal("the vend failed, or the stream shows the token")
		}
		if strings.Contains(line, `"event":"client_token"`) {
			for _, want := range []string{`"outcome":"vended"`, `"rule":"sandbox policy all"`, `"status":200`, `"duration_ms":`, `"user":"alice"`} {
				if !strings.Contains(line, want) {
					t.Errorf("%s lacks %s", line, want)
				}
			}
			return
		}
	}
	t.Errorf("the stream ended: %v", lines.Err())
}
