package app

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/audit"
)

func TestConsoleLabelsOnlyAuditEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown bytes.Buffer
		out, err := openOutput(Config{LogFormat: "console", LogLevel: "info", AuditLog: auditToStdout}, &shown)
		if err != nil {
			t.Fatal(err)
		}
		a := App{log: newLogger(Config{LogFormat: "console", LogLevel: "info"}, out.log)}
		a.log.Info().Msg("of our own")
		if _, err := fmt.Fprintln(a.Log(), "of a library"); err != nil {
			t.Fatal(err)
		}
		trail := audit.NewTrail(out.sink, prometheus.NewRegistry())
		if err := trail.Write(context.Background(), &audit.Entry{Event: audit.SignIn, User: "alice"}); err != nil {
			t.Fatal(err)
		}
		out.close()
		for line := range strings.Lines(shown.String()) {
			label, _, _ := strings.Cut(line, " ")
			if isEntry := strings.Contains(line, "event="+string(audit.SignIn)); isEntry != (label == "audit") {
				t.Errorf("label %q: %s", label, line)
			}
		}
		if lines := strings.Count(shown.String(), "\n"); lines != 3 {
			t.Errorf("%d lines, want 3:\n%s", lines, shown.String())
		}
	})
}
