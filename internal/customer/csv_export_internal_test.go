package customer

import (
	"encoding/csv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExportedCellsAreNotFormulas(t *testing.T) {
	for _, value := range []string{
		"=1+1", "+1", "-1", "@x", "\tx", "\rx", "＝1", "＋1", "－1", "＠x", "'=1", "''=1", " =1", "' =1", "'", "''", "", "ann", "'ann", "'; =1", "a;=1",
		`=HYPERLINK("http://evil.example","x")`, `"=1"`, "=", "é=",
	} {
		checkCell(t, value)
	}
}

func TestEveryCellSurvivesAnExport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkCell(t, rapid.StringOfN(rapid.SampledFrom([]rune("'=+-@＝＋－＠ \t\";,aé")), 0, 6, -1).Draw(t, "value"))
	})
}

// checkCell reads a cell like a spreadsheet, with commas and with semicolons.
func checkCell(t rapid.TB, value string) {
	t.Helper()
	line := cell(value) + "," + "id"
	fields, err := csv.NewReader(strings.NewReader(line)).Read()
	if err != nil || len(fields) != 2 || original(fields[0]) != value {
		t.Fatalf("%q is exported as %q and imported as %q (%v)", value, line, fields, err)
	}
	for _, comma := range []rune{',', ';', '\t'} {
		reader := csv.NewReader(strings.NewReader(line))
		reader.Comma, reader.LazyQuotes, reader.FieldsPerRecord = comma, true, -1
		fields, err := reader.Read()
		if err != nil {
			t.Fatalf("%q with %q: %v", line, comma, err)
		}
		for _, f := range fields {
			if f != "" && strings.ContainsRune("=+-@＝＋－＠\t\r\n", []rune(f)[0]) {
				t.Fatalf("%q is exported as %q, which runs %q", value, line, f)
			}
		}
	}
}
