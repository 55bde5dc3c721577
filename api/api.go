// Package api holds the service's HTTP contract, openapi.yaml, and nothing else.
package api

import _ "embed" // for OpenAPI

// OpenAPI is the contract that the service serves at GET /openapi.yaml.
//
//go:embed openapi.yaml
var OpenAPI []byte
