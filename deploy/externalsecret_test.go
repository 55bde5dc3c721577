package deploy_test

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// externalSecret has the fields of external-secrets.io/v1 in use here. Their own
// module needs the libraries of every vault. `make verify-kubernetes` checks against
// the operator's own schema.
type externalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`

	Spec struct {
		RefreshInterval string `json:"refreshInterval"`
		SecretStoreRef  struct {
			Kind string `json:"kind"`
			Name string `json:"name"`
		} `json:"secretStoreRef"`
		Target struct {
			Name           string `json:"name"`
			CreationPolicy string `json:"creationPolicy"`
			DeletionPolicy string `json:"deletionPolicy"`
		} `json:"target"`
		DataFrom []struct {
			Extract struct {
				Key string `json:"key"`
			} `json:"extract"`
		} `json:"dataFrom"`
		Data []struct {
			SecretKey string `json:"secretKey"`
			RemoteRef struct {
				Key      string `json:"key"`
				Property string `json:"property"`
			} `json:"remoteRef"`
		} `json:"data"`
	} `json:"spec"`
}

func (s *externalSecret) DeepCopyObject() runtime.Object {
	clone := *s
	return &clone
}

func addExternalSecret(scheme *runtime.Scheme) error {
	version := schema.GroupVersion{Group: "external-secrets.io", Version: "v1"}
	scheme.AddKnownTypeWithName(version.WithKind("ExternalSecret"), &externalSecret{})
	return nil
}
