package app

import (
	"cmp"
	"fmt"
	"iter"
	"reflect"
	"strings"

	"dropgate/internal/clienttoken"
)

//go:generate go test -run ^Test(ConfigurationPage|ChartSchema)IsUpToDate$ . -update

// settings iterates over the fields of Config with an environment variable.
func settings() iter.Seq[reflect.StructField] {
	return func(yield func(reflect.StructField) bool) {
		for field := range reflect.TypeFor[Config]().Fields() {
			if field.Tag.Get("env") != "" && !yield(field) {
				return
			}
		}
	}
}

// isSecret reports whether a setting may also be given as a file.
func isSecret(field reflect.StructField) bool {
	return field.Type == reflect.TypeFor[clienttoken.Secret]()
}

// Usage is the table of all settings, as `server -help` prints it.
func Usage() string {
	var b strings.Builder
	b.WriteString("All settings are environment variables. An empty one counts as unset. White space\naround a value is ignored.\n")
	for field := range settings() {
		if heading := field.Tag.Get("heading"); heading != "" {
			fmt.Fprintf(&b, "\n%s:\n", heading)
		}
		name, help := field.Tag.Get("env"), field.Tag.Get("help")
		if isSecret(field) {
			help += " Or name a file that holds it: " + name + "_FILE."
		}
		if field.Tag.Get("values") != "" {
			help += " May have several values, one per line: see docs/rotation.md."
		}
		fmt.Fprintf(&b, "  %s (%s)\n        %s\n", name, cmp.Or(field.Tag.Get("unset"), "default: "+field.Tag.Get("envDefault")), help)
	}
	return b.String()
}
