package clienttoken

import (
	"encoding/json"
	"fmt"
)

// ClaimKind names the JSON type of a claim's value, with its article.
func ClaimKind(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number, float64:
		return "a number"
	case []any:
		return "an array"
	case fmt.Stringer:
		return value.String()
	}
	return "an object"
}
