package app

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"dropgate/internal/audit"
)

func TestOnlyAuditEntriesAreLabelledAudit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shown bytes.Buffer
		out, err := openOutput(Config{LogFormat: "console", LogLevel: "info", AuditLog: auditToStdout}, &shown)
		if err != nil {
			t.Fatal(err)
		}
		a := App{log: newLogger(Config{LogFormat: "console", LogLevel: "info"}, out.log)}
		a.log.Info().Msg("of our own")
		log.New(a.Log(), "", 0).Print("of a library")
		trail := audit.NewTrail(out.sink, prometheus.NewRegistry())
		if err := trail.Write(context.Background(), &audit.Entry{Event: audit.SignIn, User: "alice"}); err != nil {
			t.Fatal(err)
		}
		out.close()
		for line := range strings.Lines(shown.String()) {
			label, _, _ := strings.Cut(line, " ")
			if isEntry := strings.Contains(line, fmt.Sprintf("event=%s", audit.SignIn)); isEntry != (label == "audit") {
				t.Errorf("labelled %q: %s", label, line)
			}
		}
		if lines := strings.Count(shown.String(), "\n"); lines != 3 {
			t.Errorf("%d lines, want 3:\n%s", lines, shown.String())
		}
	})
}
