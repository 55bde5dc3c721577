// Package web holds the files that the sandbox serves to browsers. It never decides
// who gets them, and the server does not import it.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dwolla-web/*.js
var library embed.FS

//go:embed dwolla.css
var styles []byte

// Library returns the stand-in for dwolla-web.js: the files of dwolla-web/ in the
// order of their names, inside one function.
func Library() []byte {
	names, _ := fs.Glob(library, "dwolla-web/*.js") // fails only for a bad pattern
	script := []byte("// A stand-in for Dwolla's dwolla-web.js, for the sandbox only.\n(() => {\n\"use strict\";\n")
	for _, name := range names {
		part, _ := library.ReadFile(name) // embedded, so it is there
		script = append(append(script, '\n'), part...)
	}
	return append(script, "\n})();\n"...)
}

// LibraryStyles returns the style sheet for the stand-in's elements.
func LibraryStyles() []byte { return styles }
