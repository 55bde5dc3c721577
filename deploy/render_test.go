package deploy_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// manifest is a rendered kustomization. The second group of objects comes from components.
type manifest struct {
	deployment      *appsv1.Deployment
	server          corev1.Container
	configMap       *corev1.ConfigMap
	service         *corev1.Service
	serviceAccount  *corev1.ServiceAccount
	networkPolicies map[string]*networkingv1.NetworkPolicy

	budget         *policyv1.PodDisruptionBudget
	secret         *corev1.Secret
	autoscaler     *autoscalingv2.HorizontalPodAutoscaler
	ingress        *networkingv1.Ingress
	route          *gatewayv1.HTTPRoute
	podMonitor     *monitoringv1.PodMonitor
	rule           *monitoringv1.PrometheusRule
	dashboard      *corev1.ConfigMap
	externalSecret *externalSecret
	claim          *corev1.PersistentVolumeClaim
	job            *batchv1.Job
}

// environment returns the ConfigMap and the container's own variables, which win.
func (m manifest) environment() map[string]string {
	environment := maps.Clone(m.configMap.Data)
	for _, variable := range m.server.Env {
		environment[variable.Name] = variable.Value
	}
	return environment
}

// replicas returns the smallest number of replicas in service.
func (m manifest) replicas() int32 {
	if m.autoscaler != nil {
		return *m.autoscaler.Spec.MinReplicas
	}
	return *m.deployment.Spec.Replicas
}

// components returns the names of all components.
func components(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("kubernetes/components")
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names
}

// eachManifest runs check on the base, every overlay, every component alone on the
// base, and the two largest combinations. hpa and sqlite exclude each other.
func eachManifest(t *testing.T, check func(t *testing.T, m manifest)) {
	t.Helper()
	for _, name := range []string{"base", "overlays/sandbox", "overlays/production"} {
		t.Run(name, func(t *testing.T) { check(t, render(t, "kubernetes/"+name)) })
	}
	var withoutHPA, withoutSQLite []string
	for _, name := range components(t) {
		t.Run(name, func(t *testing.T) { check(t, renderWith(t, name)) })
		if name != "hpa" {
			withoutHPA = append(withoutHPA, name)
		}
		if name != "sqlite" {
			withoutSQLite = append(withoutSQLite, name)
		}
	}
	t.Run("all but hpa", func(t *testing.T) { check(t, renderWith(t, withoutHPA...)) })
	t.Run("all but sqlite", func(t *testing.T) { check(t, renderWith(t, withoutSQLite...)) })
}

// tree is a copy of the manifests in memory. In place of an operator's own secrets it
// has one of its own.
func tree(t *testing.T) filesys.FileSystem {
	t.Helper()
	memory := filesys.MakeFsInMemory()
	err := filepath.WalkDir("kubernetes", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if entry.Name() == "secrets" {
				return fs.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return memory.WriteFile(path, text)
	})
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, memory, "kubernetes/overlays/sandbox/secrets/dwolla-client-secret", "sandbox-secret")
	return memory
}

func writeFile(t *testing.T, files filesys.FileSystem, path, text string) {
	t.Helper()
	if err := files.WriteFile(path, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

// with adds an overlay of the base and the named components, in this order. It returns
// the overlay's folder.
func with(t *testing.T, files filesys.FileSystem, names ...string) string {
	t.Helper()
	text := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../../base]\ncomponents:\n"
	for _, name := range names {
		text += "  - ../../components/" + name + "\n"
	}
	dir := "kubernetes/overlays/" + strings.Join(names, "-and-")
	writeFile(t, files, dir+"/kustomization.yaml", text)
	return dir
}

func renderWith(t *testing.T, names ...string) manifest {
	t.Helper()
	files := tree(t)
	return renderFrom(t, files, with(t, files, names...))
}

func render(t *testing.T, dir string) manifest {
	t.Helper()
	return renderFrom(t, tree(t), dir)
}

// build runs kustomize and returns one document for each object.
func build(files filesys.FileSystem, dir string) ([]string, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, dir)
	if err != nil {
		return nil, fmt.Errorf("rendering: %w", err)
	}
	var documents []string
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", resource.CurId(), err)
		}
		documents = append(documents, string(text))
	}
	return documents, nil
}

// renderFrom renders dir and sorts the objects by kind. It fails for a kind without a
// place in manifest: no test would look at it.
func renderFrom(t *testing.T, files filesys.FileSystem, dir string) manifest {
	t.Helper()
	documents, err := build(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	m := manifest{networkPolicies: map[string]*networkingv1.NetworkPolicy{}}
	for _, document := range documents {
		object, err := decode([]byte(document))
		if err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if err := m.add(object); err != nil {
			t.Fatal(err)
		}
	}
	if m.deployment == nil || m.configMap == nil || m.service == nil || m.serviceAccount == nil ||
		len(m.networkPolicies) == 0 {
		t.Fatalf("%s misses an object: %+v", dir, m)
	}
	if n := len(m.deployment.Spec.Template.Spec.Containers); n != 1 {
		t.Fatalf("the Pod has %d containers, want 1", n)
	}
	m.server = m.deployment.Spec.Template.Spec.Containers[0]
	return m
}

func (m *manifest) add(object runtime.Object) error {
	switch object := object.(type) {
	case *appsv1.Deployment:
		m.deployment = object
	case *corev1.ConfigMap:
		if strings.HasSuffix(object.Name, "-dashboard") {
			m.dashboard = object
		} else {
			m.configMap = object
		}
	case *corev1.Service:
		m.service = object
	case *corev1.ServiceAccount:
		m.serviceAccount = object
	case *networkingv1.NetworkPolicy:
		m.networkPolicies[object.Name] = object
	default:
		return m.addOptional(object)
	}
	return nil
}

func (m *manifest) addOptional(object runtime.Object) error {
	switch object := object.(type) {
	case *policyv1.PodDisruptionBudget:
		m.budget = object
	case *corev1.Secret:
		m.secret = object
	case *autoscalingv2.HorizontalPodAutoscaler:
		m.autoscaler = object
	case *networkingv1.Ingress:
		m.ingress = object
	case *gatewayv1.HTTPRoute:
		m.route = object
	case *monitoringv1.PodMonitor:
		m.podMonitor = object
	case *monitoringv1.PrometheusRule:
		m.rule = object
	case *externalSecret:
		m.externalSecret = object
	case *corev1.PersistentVolumeClaim:
		m.claim = object
	case *batchv1.Job:
		m.job = object
	case *corev1.Namespace:
	default:
		return fmt.Errorf("no check exists for a %T", object)
	}
	return nil
}

// decode turns YAML into the typed object that it names.
func decode(text []byte) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, batchv1.AddToScheme, autoscalingv2.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme,
		policyv1.AddToScheme, gatewayv1.Install, monitoringv1.AddToScheme, addExternalSecret,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, _, err := codecs.UniversalDeserializer().Decode(text, nil, nil)
	return object, err
}

// decodeFile decodes a source file strictly. Rendered files have no duplicate keys
// any more.
func decodeFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if filepath.Base(path) == "kustomization.yaml" {
		return yaml.UnmarshalStrict(text, &types.Kustomization{})
	}
	_, err = decode(text)
	return err
}

func TestDecodingIsStrict(t *testing.T) {
	const good = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: dropgate\n"
	if _, err := decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field":                good + "automountServiceAccountTokens: false\n",
		"duplicate field":              good + "kind: ServiceAccount\n",
		"unknown kind":                 "apiVersion: v1\nkind: ServiceAcount\nmetadata:\n  name: dropgate\n",
		"unknown field of HTTPRoute":   "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nspec:\n  hosts: [a.example]\n",
		"unknown field of PodMonitor":  "apiVersion: monitoring.coreos.com/v1\nkind: PodMonitor\nspec:\n  endpoints: []\n",
		"unknown ExternalSecret field": "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec:\n  store: a\n",
	} {
		if object, err := decode([]byte(text)); err == nil {
			t.Errorf("%s: decoded to %+v, want an error", name, object)
		}
	}
}
