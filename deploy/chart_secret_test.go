package deploy_test

import (
	"context"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
)

// oneSecret is a cluster with one Secret, or none, in a namespace that exists.
type oneSecret struct {
	dynamic.NamespaceableResourceInterface // panics for what Helm must not do here

	kind string
	keys []string // nil: no Secret
}

// GetClientFor implements engine.ClientProvider.
func (s oneSecret) GetClientFor(_, kind string) (dynamic.NamespaceableResourceInterface, bool, error) { //nolint:revive // Helm's interface
	s.kind = kind
	return s, true, nil
}

// Namespace implements dynamic.NamespaceableResourceInterface.
func (s oneSecret) Namespace(string) dynamic.ResourceInterface { return s }

// Get implements dynamic.ResourceInterface.
func (s oneSecret) Get(_ context.Context, name string, _ metav1.GetOptions, _ ...string) (*unstructured.Unstructured, error) {
	found := map[string]any{"kind": s.kind, "metadata": map[string]any{"name": name}}
	if s.kind == "Secret" {
		if s.keys == nil {
			return nil, apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, name)
		}
		data := map[string]any{}
		for _, key := range s.keys {
			data[key] = "eA=="
		}
		found["data"] = data
	}
	return &unstructured.Unstructured{Object: found}, nil
}

// TestInstallationNeedsEveryKeyOfTheSecret also for the key that only the migration reads.
func TestInstallationNeedsEveryKeyOfTheSecret(t *testing.T) {
	v, all := valueSets(t)["migration"], []string{"dwolla-client-secret", "database-url"}
	for name, c := range map[string]struct {
		cluster oneSecret
		want    string
	}{
		"all of them":           {oneSecret{keys: append([]string{"database-owner-url"}, all...)}, ""},
		"not the migration's":   {oneSecret{keys: all}, "lacks the key database-owner-url: migration.databaseUrlKey names it"},
		"the migration's alone": {oneSecret{keys: []string{"database-owner-url"}}, "lacks the key " + all[0] + ": secret.keys."},
		"no Secret":             {oneSecret{}, " --from-file=database-owner-url"},
	} {
		t.Run(name, func(t *testing.T) {
			release := chartutil.ReleaseOptions{Name: "dropgate", Namespace: "dropgate", Revision: 1, IsInstall: true}
			rendered, err := chartutil.ToRenderValues(loadChart(t), v, release, chartutil.DefaultCapabilities)
			if err != nil {
				t.Fatal(err)
			}
			_, err = engine.RenderWithClientProvider(loadChart(t), rendered, c.cluster)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}
