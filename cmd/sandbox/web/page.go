package web

import "embed"

//go:embed index.html demo.css demo.js icon.svg attacker.html attacker.js
var page embed.FS

// Page returns the demo page, a template of html/template, and its assets.
func Page() embed.FS { return page }
