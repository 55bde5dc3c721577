package app

import (
	"slices"
	"strings"
)

// faults are the faults of a configuration, by the name of the setting. They never
// show a secret.
type faults map[string][]string

func (f faults) add(name, what string) { f[name] = append(f[name], what) }

// addError adds err, if there is one.
func (f faults) addError(name string, err error) {
	if err != nil {
		f.add(name, err.Error())
	}
}

// sorted lists the faults in the order of the settings, so that the same mistakes
// always give the same text.
func (f faults) sorted() []string {
	var names []string
	for field := range settings() {
		names = append(names, field.Tag.Get("env"), field.Tag.Get("env")+"_FILE")
	}
	names = append(append(names, reserved()...), "configuration")
	var lines []string
	for _, name := range names {
		for _, what := range slices.Sorted(slices.Values(f[name])) {
			lines = append(lines, name+": "+strings.ReplaceAll(what, "\n", "; "))
		}
	}
	return lines
}

// ConfigError lists all faults of a configuration.
type ConfigError struct {
	Faults []string // "NAME: what is wrong", in the order of the settings
}

func (e *ConfigError) Error() string {
	return "the configuration has faults:\n  " + strings.Join(e.Faults, "\n  ")
}
