package deploy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// passedOn returns the types of the values that the chart passes on as they are. Helm
// does not ask the cluster about unknown fields, and the cluster drops them.
func passedOn() []reflect.Type {
	return []reflect.Type{
		reflect.TypeFor[corev1.Affinity](), reflect.TypeFor[corev1.Container](), reflect.TypeFor[corev1.Volume](),
		reflect.TypeFor[corev1.EnvVarSource](), reflect.TypeFor[corev1.ResourceClaim](), reflect.TypeFor[corev1.Sysctl](),
		reflect.TypeFor[corev1.SELinuxOptions](), reflect.TypeFor[corev1.WindowsSecurityContextOptions](),
		reflect.TypeFor[autoscalingv2.MetricSpec](), reflect.TypeFor[autoscalingv2.HorizontalPodAutoscalerBehavior](),
		reflect.TypeFor[gatewayv1.HTTPRouteFilter](), reflect.TypeFor[monitoringv1.RelabelConfig](), reflect.TypeFor[monitoringv1.SafeTLSConfig](),
	}
}

// TestChartSchemaHasTheTypesOfKubernetes fails after a new version of a Kubernetes module
// until `go test -run TestChartSchemaHasTheTypesOfKubernetes . -update` has been run.
func TestChartSchemaHasTheTypesOfKubernetes(t *testing.T) {
	const file = chartFolder + "/values.schema.json"
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	definitions := map[string]any{}
	for _, kind := range passedOn() {
		schemaOf(kind, definitions)
	}
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(definitions)) {
		line, err := json.Marshal(definitions[name])
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "    %q: %s,\n", name, line)
	}
	// The generated lines are those with a dot in the name, before the settings.
	const last = "    \"settings\": {"
	before, after, found := strings.Cut(string(content), last)
	if !found {
		t.Fatal("the schema has no settings")
	}
	var written strings.Builder
	for line := range strings.Lines(before) {
		if name, isDefinition := strings.CutPrefix(line, "    \""); !isDefinition || !strings.Contains(strings.SplitN(name, "\"", 2)[0], ".") {
			written.WriteString(line)
		}
	}
	want := written.String() + lines.String() + last + after
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(content)); diff != "" {
		t.Errorf("the schema is stale; run go test -run TestChartSchemaHasTheTypesOfKubernetes . -update (-want +got):\n%s", diff)
	}
}

// schemaOf describes a Go type as JSON Schema, and adds definitions of the structs in it.
func schemaOf(kind reflect.Type, definitions map[string]any) map[string]any {
	switch kind {
	case reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[resource.Quantity]():
		return map[string]any{"type": []string{"string", "number"}}
	case reflect.TypeFor[metav1.Duration](), reflect.TypeFor[metav1.Time]():
		return map[string]any{"type": "string"}
	}
	switch kind.Kind() { //nolint:exhaustive // the others are integers
	case reflect.Pointer:
		return schemaOf(kind.Elem(), definitions)
	case reflect.Slice:
		return map[string]any{"type": "array", "items": schemaOf(kind.Elem(), definitions)}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(kind.Elem(), definitions)}
	case reflect.Struct:
		return structSchema(kind, definitions)
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	default:
		return map[string]any{"type": "integer"}
	}
}

// structSchema returns a reference to the definition of a struct.
func structSchema(kind reflect.Type, definitions map[string]any) map[string]any {
	group := map[string]string{
		"k8s.io/api/core/v1": "core", "k8s.io/api/autoscaling/v2": "autoscaling", "k8s.io/apimachinery/pkg/apis/meta/v1": "meta",
		"sigs.k8s.io/gateway-api/apis/v1":                                           "gateway",
		"github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1": "monitoring",
	}[kind.PkgPath()]
	name := group + "." + kind.Name()
	reference := map[string]any{"$ref": "#/definitions/" + name}
	if definitions[name] != nil {
		return reference
	}
	properties := map[string]any{}
	definitions[name] = map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	for _, field := range reflect.VisibleFields(kind) {
		label, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if label != "" && label != "-" {
			properties[label] = schemaOf(field.Type, definitions)
		}
	}
	return reference
}
