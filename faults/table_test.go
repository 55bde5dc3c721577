//go:build faults

package faults_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// table collects the results, one row for each scenario.
type table struct {
	mu   sync.Mutex
	rows []row
}

// row is the result of a scenario.
type row struct {
	outcome

	fault string
}

var results table

const tableHead = "| fault | what users saw during it | seen in | slowest answer | first token after | all tokens after | tokens checked |\n"

func (t *table) add(fault string, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rows = append(t.rows, row{outcome: o, fault: fault})
}

// String formats the table in Markdown.
func (t *table) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	slices.SortFunc(t.rows, func(a, b row) int { return cmp.Compare(a.fault, b.fault) })
	var text strings.Builder
	text.WriteString(tableHead + "| --- | --- | --- | ---: | ---: | ---: | ---: |\n")
	for _, r := range t.rows {
		var seen []string
		for _, what := range slices.Sorted(maps.Keys(r.during)) {
			seen = append(seen, fmt.Sprintf("%s (%d)", what, r.during[what]))
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s | %s | %d |\n",
			r.fault, strings.Join(seen, ", "), signs()[r.fault].cell(r.seenAfter), seconds(r.slowest), seconds(r.firstGood), seconds(r.allGood), r.tokens)
	}
	return text.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// write prints the table and writes it to report.md beside the tests. It also replaces
// the table in a document, unless the path is empty.
func (t *table) write(document string) error {
	if len(t.rows) == 0 {
		return nil
	}
	text := t.String()
	_, _ = fmt.Fprint(os.Stdout, text)
	if err := os.WriteFile("report.md", []byte(text), 0o600); err != nil {
		return fmt.Errorf("writing the table: %w", err)
	}
	if document == "" {
		return nil
	}
	old, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("FAULTS_UPDATE: %w", err)
	}
	before, rest, found := strings.Cut(string(old), tableHead)
	if !found {
		return errors.New("FAULTS_UPDATE: the document has no table to replace")
	}
	_, after, _ := strings.Cut(rest, "\n\n")
	if after != "" {
		after = "\n" + after
	}
	if err := os.WriteFile(document, []byte(before+text+after), 0o600); err != nil {
		return fmt.Errorf("FAULTS_UPDATE: %w", err)
	}
	return nil
}
