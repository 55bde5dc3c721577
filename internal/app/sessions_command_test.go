package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dropgate/internal/app"
)

// commandSessions runs `server sessions` against a replica.
func (s *service) commandSessions(t *testing.T, tokens string, args ...string) said {
	t.Helper()
	var out, errs bytes.Buffer
	environ := []string{"ADMIN_ADDR=" + s.AdminAddr(), "ADMIN_TOKEN=" + tokens, "AUTH_MODES=anything"}
	fault := app.Sessions(t.Context(), args, environ, app.Streams{Out: &out, Err: &errs})
	return said{out.String(), errs.String(), fault}
}

func TestSessionsCommandListsAndEnds(t *testing.T) {
	const all = "ann:rw:" + adminToken + ",audit:ro:" + readToken
	onSessionStores(t, func(t *testing.T, s *site) {
		replica := s.replicas[len(s.replicas)-1]
		one, two := s.browser(t), s.browser(t)
		one.signIn()
		id := s.sessionsOf(t, "alice")[0].ID
		two.signIn()
		listed := replica.commandSessions(t, all, "list", "-user", "alice", "-operator", "audit")
		if lines := strings.Split(listed.out, "\n"); listed.fault != nil || len(lines) != 4 || !strings.HasPrefix(lines[2], id+"  alice  ") {
			t.Errorf("list: %v\n%s", listed.fault, listed.out)
		}
		if alone := strings.Contains(listed.err, "this replica alone"); alone != (len(s.replicas) == 1) {
			t.Errorf("list says %q", listed.err)
		}
		var list struct{ Sessions []shown }
		listed = replica.commandSessions(t, readToken, "list", "-user", "alice", "-json")
		if err := json.Unmarshal([]byte(listed.out), &list); err != nil || len(list.Sessions) != 2 {
			t.Errorf("list -json: %v, %v\n%s", listed.fault, err, listed.out)
		}
		for _, step := range []struct{ flag, value, says string }{
			{"-id", id, "1 sessions ended\n"}, {"-id", id, "0 sessions ended\n"}, {"-user", "alice", "1 sessions ended\n"},
		} {
			got := replica.commandSessions(t, all, "end", step.flag, step.value, "-operator", "ann")
			wants(t, "end "+step.flag, got.out, step.says)
		}
		one.vends("ended by its id", "401 ")
		two.vends("ended by its user", "401 ")
		entry := "admin ann alice signed_out operator"
		if got := s.signOuts(t); got != entry+", "+entry {
			t.Errorf("audit entries: %s", got)
		}
	})
}

func TestSessionsCommandSaysWhyItFails(t *testing.T) {
	s := sessionStores()["memory"](t).replicas[0]
	bare := newFixture(t).start(t, nil)
	for name, c := range map[string]struct {
		at     *service
		tokens string
		args   string
		says   string
		config bool
	}{
		"no choice":        {s, "ann:rw:" + adminToken + ",audit:ro:" + readToken, "end -user alice", "name yours with -operator", true},
		"another operator": {s, "ann:rw:" + adminToken, "end -user alice -operator bob", "no token of this -operator", true},
		"a short token":    {s, "short", "end -user alice", "ADMIN_TOKEN", true},
		"read-only":        {s, readToken, "end -user alice", "ActionNotAllowed: This admin token is read-only.", false},
		"a wrong token":    {s, secondToken, "list -user alice", "Unauthenticated: ", false},
		"no handle":        {s, adminToken, "end -id alice", "BadRequest: ", false},
		"no such user id":  {s, adminToken, "end -user a\x00b", "BadRequest: ", false},
		"no operators":     {bare, adminToken, "list -user alice", "the service has no ADMIN_TOKEN", false},
	} {
		got := c.at.commandSessions(t, c.tokens, strings.Fields(c.args)...)
		_, config := errors.AsType[*app.ConfigError](got.fault)
		if got.fault == nil || !strings.Contains(got.fault.Error(), c.says) || config != c.config || got.out != "" {
			t.Errorf("%s: %v\n%s", name, got.fault, got.out)
		}
		if strings.Contains(got.fault.Error(), adminToken) {
			t.Errorf("%s: the token is shown", name)
		}
	}
}

// A program with another certificate must not get the token.
func TestSessionsCommandTrustsOwnCertificateAlone(t *testing.T) {
	folder := t.TempDir()
	cert, key := issue(t, "dropgate", time.Hour).pairIn(t, folder)
	s := sessionStores()["memory"](t).fixture.start(t, oidc(map[string]string{
		"ADMIN_TOKEN": adminToken, "ADMIN_TLS_CERT_FILE": cert, "ADMIN_TLS_KEY_FILE": key,
	}))
	other := filepath.Join(t.TempDir(), "other.pem")
	if err := os.WriteFile(other, issue(t, "dropgate", time.Hour).cert, 0o600); err != nil {
		t.Fatal(err)
	}
	for file, says := range map[string]string{cert: "", other: "is not that of ADMIN_TLS_CERT_FILE"} {
		var out, errs bytes.Buffer
		environ := []string{"ADMIN_ADDR=" + s.AdminAddr(), "ADMIN_TOKEN=" + adminToken, "ADMIN_TLS_CERT_FILE=" + file}
		err := app.Sessions(t.Context(), []string{"end", "-user", "alice"}, environ, app.Streams{Out: &out, Err: &errs})
		if (says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("with %s: %v\n%s", filepath.Base(file), err, out.String())
		}
	}
}
