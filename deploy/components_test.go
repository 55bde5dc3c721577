package deploy_test

import (
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

func TestComponentsCombineInAnyOrder(t *testing.T) {
	names := components(t)
	for i, first := range names {
		for _, second := range names[i+1:] {
			if first == "hpa" && second == "sqlite" {
				continue
			}
			if !slices.Equal(sortedDocuments(t, first, second), sortedDocuments(t, second, first)) {
				t.Errorf("%s and %s differ by their order", first, second)
			}
		}
	}
}

func sortedDocuments(t *testing.T, components ...string) []string {
	t.Helper()
	files := tree(t)
	documents, err := build(files, with(t, files, components...))
	if err != nil {
		t.Fatalf("%v: %v", components, err)
	}
	slices.Sort(documents)
	return documents
}

func TestSQLiteAndAutoscalerExcludeEachOther(t *testing.T) {
	for _, pair := range [][2]string{{"hpa", "sqlite"}, {"sqlite", "hpa"}} {
		files := tree(t)
		_, err := build(files, with(t, files, pair[0], pair[1]))
		if err == nil || !strings.Contains(err.Error(), "components/"+pair[1]) {
			t.Errorf("%s and then %s: error = %v, want one with the folder of %s", pair[0], pair[1], err, pair[1])
		}
	}
}

func TestAutoscalerOwnsTheNumberOfReplicas(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		if (m.autoscaler != nil) != (m.deployment.Spec.Replicas == nil) {
			t.Errorf("autoscaler %v, replicas %v: want exactly one", m.autoscaler, m.deployment.Spec.Replicas)
		}
		if m.autoscaler == nil {
			return
		}
		target := m.autoscaler.Spec.ScaleTargetRef
		if target.Kind != "Deployment" || target.Name != m.deployment.Name {
			t.Errorf("the autoscaler scales %s %s", target.Kind, target.Name)
		}
		// 16 each, and PostgreSQL reserves 3 of its 100 for superusers.
		if most := (m.autoscaler.Spec.MaxReplicas + 1) * 16; most > 97 {
			t.Errorf("a roll-out of %d replicas has %d connections to PostgreSQL, want at most 97", m.autoscaler.Spec.MaxReplicas, most)
		}
	})
}

func TestSQLiteHasOneReplicaAndAVolume(t *testing.T) {
	m := renderWith(t, "sqlite")
	if m.replicas() != 1 {
		t.Errorf("replicas = %d, want 1", m.replicas())
	}
	if s := m.deployment.Spec.Strategy; s.Type != appsv1.RecreateDeploymentStrategyType || s.RollingUpdate != nil {
		t.Errorf("strategy = %+v, want Recreate alone", s)
	}
	if m.budget != nil {
		t.Error("a disruption budget is left, want none")
	}
	mounted := claimMount(m.deployment.Spec.Template.Spec, m.claim.Name)
	file, ok := strings.CutPrefix(m.environment()["DATABASE_URL"], "sqlite:")
	if !ok || mounted == "" || !strings.HasPrefix(file, mounted+"/") {
		t.Errorf("DATABASE_URL = %q, want a file in the volume at %q", m.environment()["DATABASE_URL"], mounted)
	}
}

// claimMount returns the directory where the container can write to the claim, or "".
func claimMount(pod corev1.PodSpec, claim string) string {
	for _, volume := range pod.Volumes {
		if volume.PersistentVolumeClaim == nil || volume.PersistentVolumeClaim.ClaimName != claim {
			continue
		}
		for _, mount := range pod.Containers[0].VolumeMounts {
			if mount.Name == volume.Name && !mount.ReadOnly {
				return mount.MountPath
			}
		}
	}
	return ""
}

func TestPodMonitorReplacesScrapeAnnotations(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		scraped := 0
		for name := range m.deployment.Spec.Template.Annotations {
			if strings.HasPrefix(name, "prometheus.io/") {
				scraped++
			}
		}
		if m.podMonitor == nil {
			if scraped != 3 {
				t.Errorf("%d scrape annotations, want 3", scraped)
			}
			return
		}
		if scraped != 0 {
			t.Errorf("%d scrape annotations beside a PodMonitor, want none", scraped)
		}
		endpoints := m.podMonitor.Spec.PodMetricsEndpoints
		if len(endpoints) != 1 || endpoints[0].Port == nil || containerPortNamed(m.server, *endpoints[0].Port) != adminPort || endpoints[0].Path != "/metrics" {
			t.Errorf("the PodMonitor scrapes %+v, want /metrics on the admin port", endpoints)
		}
	})
}

func TestIngressAndRouteLeadToTheService(t *testing.T) {
	m := renderWith(t, "ingress", "gateway")
	backend := m.ingress.Spec.Rules[0].HTTP.Paths[0].Backend.Service
	if backend.Name != m.service.Name || backend.Port.Name != m.service.Spec.Ports[0].Name {
		t.Errorf("the Ingress leads to %+v", backend)
	}
	reference := m.route.Spec.Rules[0].BackendRefs[0]
	if string(reference.Name) != m.service.Name || reference.Port == nil || *reference.Port != m.service.Spec.Ports[0].Port {
		t.Errorf("the HTTPRoute leads to %+v", reference)
	}
	if len(m.ingress.Spec.TLS) != 1 || m.route.Spec.ParentRefs[0].SectionName == nil {
		t.Error("a way without TLS is open")
	}
}

func TestOverlayHasOnePublicHost(t *testing.T) {
	for _, dir := range []string{"kubernetes/overlays/sandbox", "kubernetes/overlays/production"} {
		m := render(t, dir)
		host := m.ingress.Spec.Rules[0].Host
		if tls := m.ingress.Spec.TLS; len(tls) != 1 || !slices.Equal(tls[0].Hosts, []string{host}) {
			t.Errorf("%s: TLS for %+v, want %s", dir, tls, host)
		}
		if public, ok := m.environment()["PUBLIC_URL"]; ok {
			if u, err := url.Parse(public); err != nil || u.Host != host || u.Scheme != "https" {
				t.Errorf("%s: PUBLIC_URL = %q, want https://%s", dir, public, host)
			}
		}
	}
}

func TestChangedSecretChangesThePodTemplate(t *testing.T) {
	const dir = "kubernetes/overlays/sandbox"
	files := tree(t)
	before := renderFrom(t, files, dir)
	writeFile(t, files, dir+"/secrets/dwolla-client-secret", "another-secret")
	after := renderFrom(t, files, dir)
	for _, m := range []manifest{before, after} {
		if secretMount(m.deployment.Spec.Template.Spec, m.secret.Name) == "" {
			t.Errorf("the Pod does not mount %s", m.secret.Name)
		}
	}
	if before.secret.Name == after.secret.Name {
		t.Errorf("both secrets are named %s, so no Pod restarts", after.secret.Name)
	}
}

func TestChangedExternalSecretRollsPods(t *testing.T) {
	m := renderWith(t, "external-secret")
	secret := m.externalSecret.Spec.Target.Name
	if secretMount(m.deployment.Spec.Template.Spec, secret) == "" {
		t.Errorf("the Pod does not mount %s", secret)
	}
	if got := m.deployment.Annotations["secret.reloader.stakater.com/reload"]; got != secret {
		t.Errorf("Reloader watches %q, want %q", got, secret)
	}
}

func TestDocumentListsSecretsOfProductionOverlay(t *testing.T) {
	document, err := os.ReadFile("../docs/kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range render(t, "kubernetes/overlays/production").environment() {
		key, ok := strings.CutPrefix(file, "/run/secrets/dropgate/")
		if ok && !strings.Contains(string(document), "\n| `"+key+"` |") {
			t.Errorf("docs/kubernetes.md lacks %s, the file of %s", key, name)
		}
	}
}

func TestMissingSecretFileStopsRendering(t *testing.T) {
	const dir = "kubernetes/overlays/sandbox"
	files := tree(t)
	if err := files.RemoveAll(dir + "/secrets"); err != nil {
		t.Fatal(err)
	}
	if _, err := build(files, dir); err == nil || !strings.Contains(err.Error(), "secrets/dwolla-client-secret") {
		t.Errorf("error = %v, want one with the missing file", err)
	}
}

func TestGitIgnoresSecretsOfOverlays(t *testing.T) {
	ignored, err := os.ReadFile("../.gitignore")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(strings.Split(string(ignored), "\n"), "/deploy/kubernetes/overlays/*/secrets/") {
		t.Error("git would add the secrets of an overlay")
	}
}
