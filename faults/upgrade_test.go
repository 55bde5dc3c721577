//go:build faults

package faults_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dropgate/internal/customer/customerdb"
	"dropgate/internal/postgres/postgrestest"
)

// previous builds the server of the previous release once, from the revision that
// testdata/previous-release names. The path is empty without the project's history.
var previous = sync.OnceValues(func() (path string, err error) {
	revision, err := os.ReadFile("testdata/previous-release")
	if err != nil {
		return "", err
	}
	ctx, rev := context.Background(), strings.TrimSpace(string(revision))
	if exec.CommandContext(ctx, "git", "-C", "..", "cat-file", "-e", rev+"^{commit}").Run() != nil {
		return "", nil
	}
	tree := filepath.Join(filepath.Dir(binary.path), "previous")
	if err := os.Mkdir(tree, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(filepath.Dir(binary.path), "server-previous")
	script := `git -C .. archive "$1" | tar -x -C "$2" && go -C "$2" build -o "$3" ./cmd/server`
	return path, exec.CommandContext(ctx, "sh", "-c", script, "sh", rev, tree, path).Run()
})

// previousServer returns the binary of the previous release.
func previousServer(t *testing.T) string {
	t.Helper()
	path, err := previous()
	if err != nil {
		t.Fatalf("building the previous release: %v", err)
	}
	if path == "" {
		skipWithout(t, "the history of the project")
	}
	return path
}

// migrate runs `server migrate` of this tree.
func (w *world) migrate(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary.path, "migrate")
	for _, name := range []string{"DWOLLA_ENVIRONMENT", "CUSTOMER_SOURCE", "DATABASE_URL"} {
		cmd.Env = append(cmd.Env, name+"="+w.settings[name])
	}
	if said, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(said), "the schema is version ") {
		t.Fatalf("server migrate: %v: %s", err, said)
	}
}

// expand migrates the schema like the next release.
func (w *world) expand(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../internal/customer/customerdb/testdata/next.sql")
	if err != nil {
		t.Fatal(err)
	}
	const next = customerdb.NewestSchema + 1
	statements := strings.ReplaceAll(string(text), "PREVIOUS", fmt.Sprint(next*1000+next-1)) +
		fmt.Sprintf(`; INSERT INTO dropgate_schema_version (version_id, is_applied) VALUES (%d, true)`, next)
	db := postgrestest.Open(t, postgrestest.With(t, w.settings["DATABASE_URL"], "default_query_exec_mode", "simple_protocol"))
	if _, err := db.ExecContext(t.Context(), statements); err != nil {
		t.Fatal(err)
	}
}

// TestUpgradeAndRollBackFailNoRequest replaces two replicas under load: from the previous
// release to this one, back, and forward again. Then the next release migrates, and both
// replicas restart, as after its roll-back. Users have tokens, or sessions in Redis.
func TestUpgradeAndRollBackFailNoRequest(t *testing.T) {
	// Not parallel: beside the attackers of other tests, timeouts would be failures here.
	w := newWorld(t)
	w.withPostgres(t)
	w.withRedis(t, sharedRedis(t))
	w.server = previousServer(t)
	const delay = time.Second
	site := newSite(t, w, 1, map[string]string{"AUTH_MODES": "bearer,oidc", "SHUTDOWN_DELAY": delay.String()})
	credentials := site.credentials(t, 10)
	b := newBalancer(t)
	replicas := []*replica{b.add(t, site.processes[0]), b.add(t, w.start(t, site.settings))}
	l := site.startRolloutLoad(b, credentials)

	late := time.Duration(0)
	for _, step := range []struct {
		server   string
		settings map[string]string
		migrate  func(*testing.T)
	}{
		{binary.path, map[string]string{"DATABASE_MIGRATE": "job"}, w.migrate},
		{w.server, nil, func(*testing.T) {}},
		{binary.path, map[string]string{"DATABASE_MIGRATE": "start"}, func(*testing.T) {}},
		{binary.path, map[string]string{"DATABASE_MIGRATE": "start"}, w.expand},
		{binary.path, map[string]string{"DATABASE_MIGRATE": "job"}, w.migrate},
	} {
		step.migrate(t)
		w.server = step.server
		maps.Copy(site.settings, step.settings)
		for range 2 {
			replicas = append(replicas, b.add(t, w.start(t, site.settings)))
			late = max(late, b.retire(t, replicas[0]))
			replicas = replicas[1:]
		}
	}
	close(l.stopped)
	l.calling.Wait()
	for _, fault := range l.faults {
		t.Error(fault)
	}
	t.Logf("%d requests, %d failed; replicas got connections for up to %s after SIGTERM", l.answered, len(l.faults), late)
	if late >= delay {
		t.Errorf("inconclusive: on this slow machine the balancer still connected %s after SIGTERM, later than SHUTDOWN_DELAY %s", late, delay)
	}
	if vended := len(w.dwolla.ClientTokens()); vended != l.answered {
		t.Errorf("Dwolla vended %d tokens for %d answers", vended, l.answered)
	}
}

// TestSignInContinuesOnTheOtherVersion begins a sign-in on one version, ends it on the
// other, and uses the session on both.
func TestSignInContinuesOnTheOtherVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withRedis(t, sharedRedis(t))
	site := newSite(t, w, 1, nil)
	w.server = previousServer(t)
	versions := map[string]*process{"this release": site.processes[0], "the previous release": w.start(t, site.settings)}
	for from, begins := range versions {
		for to, ends := range versions {
			b := site.signInAcross(t, from+" to "+to, begins, ends)
			for name, uses := range versions {
				site.processes = []*process{uses}
				if got := b.open(t, http.MethodGet, site.URL+"/session", ""); got.status != http.StatusOK {
					t.Errorf("a session from %s to %s is %d on %s", from, to, got.status, name)
				}
			}
		}
	}
}

// signInAcross signs a user in, with one server at the beginning and one at the end.
func (s *site) signInAcross(t *testing.T, name string, begins, ends *process) browser {
	t.Helper()
	b := s.browser(t)
	s.processes = []*process{begins}
	callback := b.authorize(t, userName(1))
	if callback == "" {
		t.Fatalf("no sign-in began, from %s", name)
	}
	s.processes = []*process{ends}
	if got := b.open(t, http.MethodGet, callback, ""); got.status != http.StatusOK || !strings.HasSuffix(got.at, "/session") {
		t.Errorf("a sign-in from %s ended with %d at %s: %s", name, got.status, got.at, got.text)
	}
	return b
}
