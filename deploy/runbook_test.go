package deploy_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestRunbookUsesOnlyExportedMetrics reads the code of docs/runbook.md that names a metric:
// each is an expression that Prometheus answers.
func TestRunbookUsesOnlyExportedMetrics(t *testing.T) {
	all, metric := exported(t), regexp.MustCompile(`\b(dropgate|go_sql|process)_\w+`)
	found := 0
	for _, code := range regexp.MustCompile("(?s)```promql\n(.+?)```|`([^`]+)`").FindAllStringSubmatch(readFile(t, "../docs/runbook.md"), -1) {
		expression := strings.TrimSpace(code[1] + code[2])
		if !metric.MatchString(expression) {
			continue
		}
		found++
		checkExported(t, all, "docs/runbook.md: "+expression, expression)
	}
	if found < 40 {
		t.Errorf("only %d expressions: has the page changed its form?", found)
	}
}
