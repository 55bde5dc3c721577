//go:build faults && series

package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dropgate/internal/dwolla/emulator"
	"dropgate/internal/tcpproxy"
)

// dashboardRun is what happens to three replicas, by the minute.
func dashboardRun(w *world) map[int]func() {
	return map[int]func(){
		4: func() {
			w.dwolla.InjectFault(emulator.OpCreateClientToken, emulator.Fault{Latency: 700 * time.Millisecond})
		},
		6: w.dwolla.ClearFaults,
		8: w.toDwolla.Stop, 10: w.toDwolla.Start,
		12: w.toRedis.Stop, 13: w.toRedis.Start,
	}
}

// dashboardMinutes is the length of the run.
const dashboardMinutes = 16

// TestRunForTheDashboard leaves the data of a Prometheus in the folder DASHBOARD_RUN:
// three replicas under load, with three faults.
func TestRunForTheDashboard(t *testing.T) {
	folder := requireEnv(t, "DASHBOARD_RUN")
	w := newWorld(t)
	w.withPostgres(t)
	w.withRedis(t, sharedRedis(t))
	secret := w.secret("DWOLLA_WEBHOOK_SECRET")
	at := newSite(t, w, 3, map[string]string{"LOG_LEVEL": "info", "DWOLLA_WEBHOOK_SECRET": secret, "AUDIT_LOG": newSink(t).path})
	if err := w.dwolla.Subscribe("http://"+at.processes[0].public+"/webhooks/dwolla", secret); err != nil {
		t.Fatal(err)
	}
	s := &system{every: 600 * time.Millisecond}
	for i := range 16 {
		s.callers = append(s.callers, at.caller(t, i))
	}
	startPrometheus(t, folder, at.processes)
	stop := s.call(t)
	defer stop()
	turn := 0
	defer repeat(4*time.Second, func() {
		turn++
		status := []string{"verified", "suspended"}[turn/10%2]
		w.dwolla.SetStatus(customerID(20+turn%10), status)
		b := at.browser(t)
		b.signIn(t, userName(30+turn%8))
		b.open(t, http.MethodPost, at.URL+"/auth/logout", "")
	})()
	began, faults := time.Now(), dashboardRun(w)
	for minute := range dashboardMinutes {
		if change := faults[minute]; change != nil {
			change()
		}
		<-time.After(time.Minute) // the length of the run, not a wait
	}
	times, err := json.Marshal(map[string]int64{"from": began.UnixMilli(), "to": time.Now().UnixMilli()})
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "times.json"), times, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// startPrometheus lets a Prometheus scrape the replicas until the test ends.
func startPrometheus(t *testing.T, folder string, replicas []*process) {
	t.Helper()
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var config strings.Builder
	fmt.Fprintf(&config, "global: {scrape_interval: 5s, evaluation_interval: 5s}\nrule_files: [%q]\nscrape_configs:\n  - job_name: dropgate\n    static_configs:\n", rules)
	for i, p := range replicas {
		fmt.Fprintf(&config, "      - {targets: [%q], labels: {namespace: dropgate, instance: dropgate-%d}}\n", p.admin, i+1)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	prometheus := exec.CommandContext(context.WithoutCancel(t.Context()), "prometheus", "--config.file="+file,
		"--storage.tsdb.path="+filepath.Join(folder, "data"), "--web.listen-address="+tcpproxy.FreeAddr(t))
	if err := prometheus.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = prometheus.Process.Signal(syscall.SIGTERM)
		if err := prometheus.Wait(); err != nil {
			t.Errorf("prometheus: %v", err)
		}
	})
}
