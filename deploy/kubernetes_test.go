package deploy_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"
)

const (
	publicPort = 8080
	adminPort  = 9090
)

// TestManifestsHaveNoUnknownOrDuplicateFields reads the files as they are:
// kustomize drops duplicate keys.
func TestManifestsHaveNoUnknownOrDuplicateFields(t *testing.T) {
	err := filepath.WalkDir("kubernetes", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".yaml" {
			return err
		}
		if err := decodeFile(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPodIsNonRootAndReadOnly(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		pod := m.deployment.Spec.Template.Spec
		if c := pod.SecurityContext; c == nil || !isTrue(c.RunAsNonRoot) || c.RunAsUser == nil || *c.RunAsUser != 65532 {
			t.Errorf("Pod security context = %+v, want runAsNonRoot with user 65532", c)
		}
		if c := m.server.SecurityContext; c == nil || !isTrue(c.ReadOnlyRootFilesystem) {
			t.Errorf("container security context = %+v, want a read-only root file system", c)
		}
		if !isFalse(pod.AutomountServiceAccountToken) || !isFalse(m.serviceAccount.AutomountServiceAccountToken) {
			t.Error("a token for the Kubernetes API is mounted, want none")
		}
	})
}

func TestPodMeetsTheRestrictedPodSecurityStandard(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurityapi.LevelVersion{Level: podsecurityapi.LevelRestricted, Version: podsecurityapi.LatestVersion()}
	eachManifest(t, func(t *testing.T, m manifest) {
		template := m.deployment.Spec.Template
		for _, result := range evaluator.EvaluatePod(restricted, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	})
}

func TestProbesAskTheAdminPort(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		for _, probe := range []struct {
			name string
			got  *corev1.Probe
			path string
		}{
			{"startup", m.server.StartupProbe, "/livez"},
			{"liveness", m.server.LivenessProbe, "/livez"},
			{"readiness", m.server.ReadinessProbe, "/readyz"},
		} {
			if probe.got == nil || probe.got.HTTPGet == nil {
				t.Errorf("the %s probe asks nothing over HTTP", probe.name)
				continue
			}
			get := probe.got.HTTPGet
			if get.Path != probe.path || containerPort(m.server, get.Port) != adminPort {
				t.Errorf("%s probe asks %s on %s, want %s on the admin port", probe.name, get.Path, get.Port.String(), probe.path)
			}
		}
	})
}

func TestManifestsOnlyReferToSecrets(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		for name, value := range m.environment() {
			if holdsSecret(name) && !strings.HasPrefix(value, "sqlite:") {
				t.Errorf("%s is given as a value, want %s_FILE", name, name)
			}
		}
		for _, source := range m.server.EnvFrom {
			if source.SecretRef != nil {
				t.Errorf("the Secret %s becomes environment, want files", source.SecretRef.Name)
			}
		}
	})
}

func TestClientSecretIsAMountedFile(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		secret := "dropgate-secrets"
		if m.secret != nil {
			secret = m.secret.Name
		}
		mounted := secretMount(m.deployment.Spec.Template.Spec, secret)
		if mounted == "" {
			t.Fatalf("%s is not mounted", secret)
		}
		file := m.environment()["DWOLLA_CLIENT_SECRET_FILE"]
		if filepath.Dir(file) != mounted {
			t.Errorf("DWOLLA_CLIENT_SECRET_FILE = %q, want a file in %s", file, mounted)
		}
	})
}

func TestDrainFitsTheGracePeriod(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		delay, timeout := shutdown(t, m.environment())
		grace := time.Duration(*m.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
		if grace <= delay+timeout {
			t.Errorf("terminationGracePeriodSeconds = %v, want more than %v + %v", grace, delay, timeout)
		}
		probe := m.server.ReadinessProbe
		noticed := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second
		if noticed > delay {
			t.Errorf("readiness is noticed within %v, want at most SHUTDOWN_DELAY = %v", noticed, delay)
		}
	})
}

func TestRolloutKeepsEveryReplicaServing(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if m.claim != nil { // SQLite
			return
		}
		if m.replicas() < 2 || m.budget == nil {
			t.Errorf("replicas = %d, budget = %v, want at least 2 and a budget", m.replicas(), m.budget)
		}
		rolling := m.deployment.Spec.Strategy.RollingUpdate
		if rolling == nil || rolling.MaxUnavailable.String() != "0" {
			t.Errorf("rolling update = %+v, want maxUnavailable 0", rolling)
		}
	})
}

func TestBaseUsesNoSQLiteWithReplicas(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if m.replicas() < 2 {
			return
		}
		environment := m.environment()
		source, ok := environment["CUSTOMER_SOURCE"]
		_, webhooks := environment["DWOLLA_WEBHOOK_SECRET_FILE"] // which wait in a database
		if ok && source != "database" && !webhooks {
			return
		}
		if _, ok := environment["DATABASE_URL_FILE"]; !ok {
			t.Errorf("CUSTOMER_SOURCE = %q with %d replicas and no DATABASE_URL_FILE: each replica would have a SQLite file of its own",
				source, m.replicas())
		}
	})
}

func TestOnlyMemoryIsLimited(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		resources := m.server.Resources
		if resources.Requests.Cpu().IsZero() || resources.Requests.Memory().IsZero() || resources.Limits.Memory().IsZero() {
			t.Errorf("resources = %+v, want requests and a memory limit", resources)
		}
		if !resources.Limits.Cpu().IsZero() {
			t.Errorf("CPU limit = %v, want none", resources.Limits.Cpu())
		}
		var mebibytes int64
		if _, err := fmt.Sscanf(m.environment()["GOMEMLIMIT"], "%dMiB", &mebibytes); err != nil {
			t.Fatalf("GOMEMLIMIT = %q, want a number of MiB", m.environment()["GOMEMLIMIT"])
		}
		if limit := resources.Limits.Memory().Value(); mebibytes<<20 >= limit {
			t.Errorf("GOMEMLIMIT = %d MiB, want less than the memory limit of %d bytes", mebibytes, limit)
		}
	})
}

func TestSelectorsFindThePod(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		pod := labels.Set(m.deployment.Spec.Template.Labels)
		selectors := map[string]*metav1.LabelSelector{
			"Deployment": m.deployment.Spec.Selector,
			"Service":    {MatchLabels: m.service.Spec.Selector},
		}
		if m.budget != nil {
			selectors["PodDisruptionBudget"] = m.budget.Spec.Selector
		}
		if m.podMonitor != nil {
			selectors["PodMonitor"] = &m.podMonitor.Spec.Selector
		}
		policies := maps.Clone(m.networkPolicies)
		delete(policies, "dropgate-migrate") // see TestMigrationJobAcceptsNoConnections
		for name, policy := range policies {
			selectors["NetworkPolicy "+name] = &policy.Spec.PodSelector
		}
		for i, spread := range m.deployment.Spec.Template.Spec.TopologySpreadConstraints {
			selectors[fmt.Sprintf("topology spread constraint %d", i)] = spread.LabelSelector
		}
		for name, selector := range selectors {
			parsed, err := metav1.LabelSelectorAsSelector(selector)
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if parsed.Empty() || !parsed.Matches(pod) {
				t.Errorf("%s selects %q, want the labels of the Pod", name, parsed)
			}
		}
	})
}

func TestObjectsHaveTheLabelsOfTheService(t *testing.T) {
	files := tree(t)
	for _, name := range []string{"sandbox", "production"} {
		documents, err := build(files, "kubernetes/overlays/"+name)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range documents {
			var object metav1.PartialObjectMetadata
			if err := yaml.Unmarshal([]byte(document), &object); err != nil {
				t.Fatal(err)
			}
			if object.Kind != "Namespace" && object.Labels["app.kubernetes.io/name"] != "dropgate" {
				t.Errorf("%s: %s %s has the labels %v", name, object.Kind, object.Name, object.Labels)
			}
		}
	}
}

func TestSandboxOverlaySetsEverythingRequired(t *testing.T) {
	environment := render(t, "kubernetes/overlays/sandbox").environment()
	for _, name := range requiredNames() {
		if environment[name] == "" {
			t.Errorf("%s is not set", name)
		}
	}
}

// secretMount returns the directory where the container finds the Secret, "" if it does not.
func secretMount(pod corev1.PodSpec, secret string) string {
	for _, volume := range pod.Volumes {
		if volume.Secret == nil || volume.Secret.SecretName != secret {
			continue
		}
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.Name == volume.Name && mount.ReadOnly {
				return strings.TrimSuffix(mount.MountPath, "/")
			}
		}
	}
	return ""
}

func isTrue(b *bool) bool  { return b != nil && *b }
func isFalse(b *bool) bool { return b != nil && !*b }
