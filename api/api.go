// Package api embeds the service's HTTP contract, openapi.yaml. It has no other code.
package api

import _ "embed" // for OpenAPI

// OpenAPI is the response of GET /openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
