package deploy_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// eachManifest runs check on the rendered base and example overlay.
func eachManifest(t *testing.T, check func(t *testing.T, m manifest)) {
	t.Helper()
	for _, dir := range []string{"kubernetes/base", "kubernetes/overlays/example"} {
		t.Run(filepath.Base(dir), func(t *testing.T) { check(t, render(t, dir)) })
	}
}

// render runs kustomize on dir and sorts the objects by kind. A kind that the
// manifest has no place for is a failure: the tests would not look at it.
func render(t *testing.T, dir string) manifest {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var m manifest
	for _, resource := range resources.Resources() {
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		object, err := decode(text)
		if err != nil {
			t.Fatalf("%s: %v", resource.CurId(), err)
		}
		if err := m.add(object); err != nil {
			t.Fatal(err)
		}
	}
	if m.deployment == nil || m.configMap == nil || m.service == nil || m.serviceAccount == nil ||
		m.budget == nil || m.networkPolicy == nil {
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
		m.configMap = object
	case *corev1.Service:
		m.service = object
	case *corev1.ServiceAccount:
		m.serviceAccount = object
	case *corev1.Secret:
		m.secrets = append(m.secrets, object)
	case *policyv1.PodDisruptionBudget:
		m.budget = object
	case *networkingv1.NetworkPolicy:
		m.networkPolicy = object
	case *corev1.Namespace, *networkingv1.Ingress:
	default:
		return fmt.Errorf("no check exists for a %T", object)
	}
	return nil
}

// decode turns YAML into the typed object that it names.
func decode(text []byte) (runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		appsv1.AddToScheme, corev1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
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

// containerPort resolves a port by name or number. An unknown name is 0.
func containerPort(container corev1.Container, port intstr.IntOrString) int32 {
	for _, p := range container.Ports {
		if p.Name == port.StrVal || p.ContainerPort == port.IntVal {
			return p.ContainerPort
		}
	}
	return 0
}

func TestDecodingIsStrict(t *testing.T) {
	const good = "apiVersion: v1\nkind: ServiceAccount\nmetadata:\n  name: dropgate\n"
	if _, err := decode([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field":   good + "automountServiceAccountTokens: false\n",
		"duplicate field": good + "kind: ServiceAccount\n",
		"unknown kind":    "apiVersion: v1\nkind: ServiceAcount\nmetadata:\n  name: dropgate\n",
	} {
		if object, err := decode([]byte(text)); err == nil {
			t.Errorf("%s: decoded to %+v, want an error", name, object)
		}
	}
}
