package deploy_test

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// object is a Kubernetes object without its Go type.
type object = map[string]any

// TestChartAndOverlaysMakeTheSameObjects compares the sets of values with the overlays of
// the same names.
func TestChartAndOverlaysMakeTheSameObjects(t *testing.T) {
	for name, changes := range map[string]string{
		// The overlay's Secret comes from a file, which git ignores.
		"sandbox":    "secret: {values: {dwolla-client-secret: sandbox-secret}}",
		"production": "{}",
	} {
		t.Run(name, func(t *testing.T) {
			overlay, err := build(tree(t), "kubernetes/overlays/"+name)
			if err != nil {
				t.Fatal(err)
			}
			v := valueSets(t)[name]
			maps.Copy(v, parseValues(t, changes))
			compareObjects(t, overlay, renderChart(t, v).documents)
		})
	}
}

// TestChartAndComponentsMakeTheSameObjects compares each component, on the base with the
// settings of the set minimal, with the chart's switch.
func TestChartAndComponentsMakeTheSameObjects(t *testing.T) {
	const ingressFrom = "from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: traefik}}}]"
	switches := map[string]string{
		"egress":          `networkPolicy: {egress: {enabled: true, postgres: [{ipBlock: {cidr: 10.20.0.0/24}}], redis: [{ipBlock: {cidr: 10.20.1.0/24}}]}}`,
		"external-secret": `externalSecret: {enabled: true, extract: dropgate, secretStoreRef: {name: vault}}`,
		"gateway": `httpRoute: {enabled: true, hostnames: [tokens.example.com],
			parentRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public, namespace: gateways, sectionName: https}],
			from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: gateways}}}]}`,
		"grafana-dashboard": `grafanaDashboard: {enabled: true}`,
		"hpa":               `autoscaling: {enabled: true}`,
		"ingress": `ingress: {enabled: true, className: traefik, hosts: [tokens.example.com],
			tls: [{hosts: [tokens.example.com], secretName: tokens-example-com-tls}], ` + ingressFrom + `}`,
		"migrate":         `migration: {enabled: true}`,
		"pod-monitor":     `podMonitor: {enabled: true}`,
		"prometheus-rule": `prometheusRule: {enabled: true}`,
		"sqlite":          `{sqlite: {enabled: true}, replicaCount: 1, config: {CUSTOMER_SOURCE: database}}`,
	}
	names := components(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(switches)), names); diff != "" {
		t.Errorf("a component has no switch, or the other way round (-switches +components):\n%s", diff)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			files := tree(t)
			dir := with(t, files, name)
			minimal := valueSets(t)["minimal"]
			own := "resources: [../" + strings.TrimPrefix(dir, "kubernetes/overlays/") + "]\nnamespace: dropgate\n" +
				"images: [{name: dropgate, newName: registry.example.com/payments/dropgate, newTag: 1.0.0}]\n" +
				"configMapGenerator: [{name: dropgate-config, behavior: merge, literals: ["
			config, ok := minimal["config"].(values)
			if !ok {
				t.Fatal("minimal has no settings")
			}
			for setting, value := range config {
				own += "'" + setting + "=" + value.(string) + "', " //nolint:errcheck,forcetypeassert // the set has texts only
			}
			writeFile(t, files, "kubernetes/overlays/minimal/kustomization.yaml", own+"]}]\n")
			overlay, err := build(files, "kubernetes/overlays/minimal")
			if err != nil {
				t.Fatal(err)
			}
			compareObjects(t, overlay, renderChart(t, changed(t, switches[name])).documents)
		})
	}
}

func compareObjects(t *testing.T, kustomized, charted []string) {
	t.Helper()
	want, got := normalized(t, kustomized), normalized(t, charted)
	if len(want) < 6 {
		t.Errorf("only %d objects", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the objects differ (-kustomize +chart):\n%s", diff)
	}
}

// normalized returns the objects by kind and name, without the intended differences.
// All of them are in this function.
func normalized(t *testing.T, documents []string) map[string]object {
	t.Helper()
	objects := map[string]object{}
	hash := regexp.MustCompile(`^(?:(dropgate-(?:config|secrets))-[2456789bcdfghkmt]{10}|(dropgate-migrate)-[0-9a-f]{7})$`)
	for _, document := range documents {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			t.Fatal(err)
		}
		// helm install --create-namespace makes the Namespace.
		if o["kind"] == "Namespace" {
			continue
		}
		prune(o, func(name string, value any) (any, bool) {
			switch name {
			// Labels of Helm. The instance is also in selectors: two releases may share a namespace.
			case "helm.sh/chart", "app.kubernetes.io/instance", "app.kubernetes.io/version", "app.kubernetes.io/managed-by":
				return nil, false
			// The chart keeps the names of ConfigMap and Secret, and their hashes in annotations.
			case "checksum/config", "checksum/secret":
				return nil, false
			// helm uninstall keeps the directory.
			case "helm.sh/resource-policy":
				return nil, false
			}
			text, isText := value.(string)
			if isText {
				return hash.ReplaceAllString(text, "$1$2"), true
			}
			section, isSection := value.(object)
			return value, !isSection || len(section) > 0
		})
		metadata := o["metadata"].(object)                            //nolint:errcheck,forcetypeassert // every object has it
		objects[o["kind"].(string)+" "+metadata["name"].(string)] = o //nolint:errcheck,forcetypeassert // likewise
	}
	joinEnvironment(t, objects)
	return objects
}

// prune replaces or removes values, from the inside to the outside.
func prune(in any, keep func(name string, value any) (any, bool)) {
	switch in := in.(type) {
	case object:
		for name, value := range in {
			prune(value, keep)
			if kept, ok := keep(name, value); ok {
				in[name] = kept
			} else {
				delete(in, name)
			}
		}
	case []any:
		for _, value := range in {
			prune(value, keep)
		}
	}
}

// joinEnvironment replaces the ConfigMap's data and the server's own variables by their
// union: the two sides distribute the files of secrets differently.
func joinEnvironment(t *testing.T, objects map[string]object) {
	t.Helper()
	environment, ok := objects["ConfigMap dropgate-config"]["data"].(object)
	if !ok {
		t.Fatal("no settings")
	}
	pod := objects["Deployment dropgate"]["spec"].(object)["template"].(object)["spec"].(object) //nolint:errcheck,forcetypeassert // decoded already
	server := pod["containers"].([]any)[0].(object)                                              //nolint:errcheck,forcetypeassert // likewise
	for _, variable := range server["env"].([]any) {                                             //nolint:errcheck,forcetypeassert // likewise
		variable := variable.(object)     //nolint:errcheck,forcetypeassert // likewise
		name := variable["name"].(string) //nolint:errcheck,forcetypeassert // likewise
		environment[name] = variable["value"]
	}
	delete(server, "env")
}
