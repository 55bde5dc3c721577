// Package api embeds the service's HTTP contract, openapi.yaml, and the script that
// pages load, dropgate.js, with its TypeScript types. It has no other code.
package api

import _ "embed" // for the files

// OpenAPI is the response of GET /openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Script is the response of GET /dropgate.js.
//
//go:embed dropgate.js
var Script []byte

// ScriptTypes is the response of GET /dropgate.d.ts.
//
//go:embed dropgate.d.ts
var ScriptTypes []byte
