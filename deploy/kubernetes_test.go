package deploy_test

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
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

func TestServiceNeverExposesTheAdminPort(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if len(m.service.Spec.Ports) != 1 {
			t.Fatalf("the Service has %d ports, want the public one only", len(m.service.Spec.Ports))
		}
		if got := containerPort(m.server, m.service.Spec.Ports[0].TargetPort); got != publicPort {
			t.Errorf("the Service leads to port %d, want %d", got, publicPort)
		}
		for _, port := range m.server.Ports {
			if port.HostPort != 0 {
				t.Errorf("port %d is open on the node", port.ContainerPort)
			}
		}
	})
}

func TestOnlyMonitoringReachesAdminPort(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if !slices.Equal(m.networkPolicy.Spec.PolicyTypes, []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}) {
			t.Errorf("policy types = %v, want Ingress", m.networkPolicy.Spec.PolicyTypes)
		}
		open := openPorts(t, m)
		if _, ok := open[publicPort]; !ok || len(open) != 2 {
			t.Errorf("open ports = %v, want the public and the admin port", slices.Collect(maps.Keys(open)))
		}
		want := map[string]string{"kubernetes.io/metadata.name": "monitoring"}
		from := open[adminPort]
		if len(from) != 1 || from[0].NamespaceSelector == nil || !maps.Equal(from[0].NamespaceSelector.MatchLabels, want) {
			t.Errorf("the admin port is open to %+v, want the monitoring namespace only", from)
		}
	})
}

func TestManifestsOnlyReferToSecrets(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if len(m.secrets) > 0 {
			t.Errorf("%d Secrets are in the manifests, want none", len(m.secrets))
		}
		for name := range m.environment() {
			if holdsSecret(name) {
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
		mounted := secretMount(m.deployment.Spec.Template.Spec, "dropgate-secrets")
		if mounted == "" {
			t.Fatal("dropgate-secrets is not mounted")
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
		if *m.deployment.Spec.Replicas < 2 {
			t.Errorf("replicas = %d, want at least 2", *m.deployment.Spec.Replicas)
		}
		rolling := m.deployment.Spec.Strategy.RollingUpdate
		if rolling == nil || rolling.MaxUnavailable.String() != "0" {
			t.Errorf("rolling update = %+v, want maxUnavailable 0", rolling)
		}
	})
}

func TestBaseUsesNoSQLiteWithReplicas(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if *m.deployment.Spec.Replicas < 2 {
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
				source, *m.deployment.Spec.Replicas)
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
			"Deployment":          m.deployment.Spec.Selector,
			"Service":             {MatchLabels: m.service.Spec.Selector},
			"PodDisruptionBudget": m.budget.Spec.Selector,
			"NetworkPolicy":       &m.networkPolicy.Spec.PodSelector,
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

func TestExampleOverlaySetsEverythingRequired(t *testing.T) {
	environment := render(t, "kubernetes/overlays/example").environment()
	for _, name := range requiredNames() {
		if environment[name] == "" {
			t.Errorf("%s is not set", name)
		}
	}
}

// manifest is a rendered kustomization.
type manifest struct {
	deployment     *appsv1.Deployment
	server         corev1.Container
	configMap      *corev1.ConfigMap
	service        *corev1.Service
	serviceAccount *corev1.ServiceAccount
	secrets        []*corev1.Secret
	budget         *policyv1.PodDisruptionBudget
	networkPolicy  *networkingv1.NetworkPolicy
}

// environment returns the ConfigMap and the container's own variables, which win.
func (m manifest) environment() map[string]string {
	environment := maps.Clone(m.configMap.Data)
	for _, variable := range m.server.Env {
		environment[variable.Name] = variable.Value
	}
	return environment
}

// openPorts returns the permitted clients of each container port.
func openPorts(t *testing.T, m manifest) map[int32][]networkingv1.NetworkPolicyPeer {
	t.Helper()
	open := map[int32][]networkingv1.NetworkPolicyPeer{}
	for _, rule := range m.networkPolicy.Spec.Ingress {
		if len(rule.Ports) == 0 {
			t.Error("a rule without ports opens every port")
		}
		for _, port := range rule.Ports {
			open[containerPort(m.server, *port.Port)] = rule.From
		}
	}
	return open
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
