package deploy_test

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// valueSchema is the part of JSON Schema that this test reads.
type valueSchema struct {
	Ref                  string `json:"$ref"`
	Properties           map[string]valueSchema
	Items                *valueSchema
	AdditionalProperties any
	Definitions          map[string]valueSchema
}

func chartSchema(t *testing.T) valueSchema {
	t.Helper()
	text, err := os.ReadFile(chartFolder + "/values.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s valueSchema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestChartSchemaHasTheFieldsOfKubernetes: the chart refuses no field that Kubernetes
// knows, and lets no misspelled one pass.
func TestChartSchemaHasTheFieldsOfKubernetes(t *testing.T) {
	s := chartSchema(t)
	for name, fields := range map[string]reflect.Type{
		"labelSelector":                 reflect.TypeFor[metav1.LabelSelector](),
		"envVar":                        reflect.TypeFor[corev1.EnvVar](),
		"envFrom":                       reflect.TypeFor[corev1.EnvFromSource](),
		"volumeMount":                   reflect.TypeFor[corev1.VolumeMount](),
		"toleration":                    reflect.TypeFor[corev1.Toleration](),
		"topologySpreadConstraint":      reflect.TypeFor[corev1.TopologySpreadConstraint](),
		"podSecurityContext":            reflect.TypeFor[corev1.PodSecurityContext](),
		"containerSecurityContext":      reflect.TypeFor[corev1.SecurityContext](),
		"profile":                       reflect.TypeFor[corev1.SeccompProfile](),
		"parentRef":                     reflect.TypeFor[gatewayv1.ParentReference](),
		"peers/*":                       reflect.TypeFor[networkingv1.NetworkPolicyPeer](),
		"envVar/valueFrom":              reflect.TypeFor[corev1.EnvVarSource](),
		"/resources":                    reflect.TypeFor[corev1.ResourceRequirements](),
		"/affinity":                     reflect.TypeFor[corev1.Affinity](),
		"/dnsConfig":                    reflect.TypeFor[corev1.PodDNSConfig](),
		"/hostAliases/*":                reflect.TypeFor[corev1.HostAlias](),
		"/ingress/tls/*":                reflect.TypeFor[networkingv1.IngressTLS](),
		"/networkPolicy/egress/extra/*": reflect.TypeFor[networkingv1.NetworkPolicyEgressRule](),
	} {
		var want []string
		for field := range fields.Fields() {
			json, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			want = append(want, json)
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(s.at(t, name).Properties))); diff != "" {
			t.Errorf("%s differs from %s (-Kubernetes +schema):\n%s", name, fields, diff)
		}
	}
}

// at finds a part of the schema: a definition, or with a leading slash a value. An
// asterisk stands for the items of a list.
func (s valueSchema) at(t *testing.T, path string) valueSchema {
	t.Helper()
	parts := strings.Split(path, "/")
	at := s
	if parts[0] != "" {
		at = s.Definitions[parts[0]]
	}
	for _, part := range parts[1:] {
		if part == "*" {
			at = *at.Items
		} else {
			at = at.Properties[part]
		}
		if definition, ok := strings.CutPrefix(at.Ref, "#/definitions/"); ok {
			at = s.Definitions[definition]
		}
	}
	if len(at.Properties) == 0 {
		t.Fatalf("the schema has no %s", path)
	}
	return at
}

// TestChartDocumentsEveryValue: each value of the schema has a default and a comment in
// values.yaml, and no other value has.
func TestChartDocumentsEveryValue(t *testing.T) {
	s, c := chartSchema(t), loadChart(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(s.Properties)), slices.Sorted(maps.Keys(c.Values))); diff != "" {
		t.Errorf("the values differ (-schema +values.yaml):\n%s", diff)
	}
	for name, value := range c.Values {
		section, ok := value.(values)
		part := s.Properties[name]
		if !ok || len(section) == 0 || part.Ref != "" || name == "resources" || name == "strategy" {
			continue
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(part.Properties)), slices.Sorted(maps.Keys(section))); diff != "" {
			t.Errorf("%s differs (-schema +values.yaml):\n%s", name, diff)
		}
	}
}

// TestChartSchemaIsClosed: an object with properties allows no others.
func TestChartSchemaIsClosed(t *testing.T) {
	s := chartSchema(t)
	checkClosed(t, "", s)
	for name, definition := range s.Definitions {
		checkClosed(t, name, definition)
	}
}

func checkClosed(t *testing.T, path string, s valueSchema) {
	t.Helper()
	if len(s.Properties) > 0 && s.AdditionalProperties != false {
		t.Errorf("%s allows unknown properties", path)
	}
	for name, property := range s.Properties {
		checkClosed(t, path+"/"+name, property)
	}
	if s.Items != nil {
		checkClosed(t, path+"/*", *s.Items)
	}
}
