package app

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestChartSchemaIsUpToDate fails after a change of a setting until
// go generate ./internal/app has been run. The Helm chart then accepts each setting of
// the service, and no other name.
func TestChartSchemaIsUpToDate(t *testing.T) {
	const file = "../../deploy/helm/dropgate/values.schema.json"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	// The generated definitions are the last ones.
	const first = "    \"settings\": {"
	written, _, found := strings.Cut(string(content), first)
	if !found {
		t.Fatalf("%s has no definition of the settings", file)
	}
	want := written + chartSettings(t) + "  }\n}\n"
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("%s is stale; run go generate ./internal/app (-want +got):\n%s", file, diff)
	}
}

// chartSettings returns the definitions settings and secretSettings.
func chartSettings(t *testing.T) string {
	t.Helper()
	var settingsOf, secrets []string
	for field := range settings() {
		name, help := field.Tag.Get("env"), field.Tag.Get("help")
		if !isSecret(field) {
			settingsOf = append(settingsOf, property(t, name, valueSchema(field), help))
			continue
		}
		plain := "A secret, and so refused here: name its key in secret.keys."
		if strings.HasSuffix(name, "_PROXY") {
			plain = help + " With a password, name its key in secret.keys."
		}
		settingsOf = append(settingsOf,
			property(t, name, text(""), plain),
			property(t, name+"_FILE", text(""), "The file with "+name+", for a file from outside of the Secret."))
		secrets = append(secrets, property(t, name, text("^[-._a-zA-Z0-9]+$"), help))
	}
	return definition("settings", settingsOf) + ",\n" + definition("secretSettings", secrets) + "\n"
}

func definition(name string, properties []string) string {
	return fmt.Sprintf("    %q: {\n      \"type\": \"object\",\n      \"additionalProperties\": false,\n      \"properties\": {\n%s\n      }\n    }",
		name, strings.Join(properties, ",\n"))
}

func property(t *testing.T, name string, schema map[string]any, help string) string {
	t.Helper()
	schema["description"] = help
	line, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("        %q: %s", name, line)
}

// valueSchema describes the values of a setting. An empty value counts as unset. In the
// chart, a list may stand for a comma-separated value.
func valueSchema(field reflect.StructField) map[string]any {
	switch {
	case field.Type == reflect.TypeFor[time.Duration]():
		return text(`^$|^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`)
	case field.Type.Kind() == reflect.Slice:
		return map[string]any{"type": []string{"array", "string", "null"}, "items": map[string]any{"type": "string"}}
	case field.Type.Kind() == reflect.Int:
		return map[string]any{"type": []string{"integer", "string", "null"}}
	}
	return text("")
}

// text describes a text with a pattern, if any. Helm keeps a null without a default.
func text(pattern string) map[string]any {
	schema := map[string]any{"type": []string{"string", "null"}}
	if pattern != "" {
		schema["pattern"] = pattern
	}
	return schema
}
