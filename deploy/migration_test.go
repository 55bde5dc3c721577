package deploy_test

import (
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	podsecurityapi "k8s.io/pod-security-admission/api"
	podsecurity "k8s.io/pod-security-admission/policy"
)

// migrations returns the chart's Job and the component's, each beside the component egress.
func migrations(t *testing.T) map[string]manifest {
	t.Helper()
	files := tree(t)
	return map[string]manifest{
		"chart":     renderChart(t, valueSets(t)["migration"]).manifest,
		"component": renderFrom(t, files, with(t, files, "egress", "migrate")),
	}
}

func TestMigrationJobRunsTheServersCommand(t *testing.T) {
	for name, m := range migrations(t) {
		pod := m.job.Spec.Template.Spec
		if len(pod.Containers) != 1 || !slices.Equal(pod.Containers[0].Args, []string{"migrate"}) || pod.Containers[0].Image != m.server.Image {
			t.Errorf("%s: the Job runs %+v", name, pod.Containers)
		}
		if pod.RestartPolicy != corev1.RestartPolicyOnFailure || m.job.Spec.BackoffLimit == nil {
			t.Errorf("%s: the Job does not try again", name)
		}
		if m.environment()["DATABASE_MIGRATE"] != "job" {
			t.Errorf("%s: the server migrates, too", name)
		}
		if len(m.job.Annotations) > 0 {
			t.Errorf("%s: the Job has annotations %v, want no hook", name, m.job.Annotations)
		}
	}
}

func TestMigrationJobMeetsTheRestrictedPodSecurityStandard(t *testing.T) {
	evaluator, err := podsecurity.NewEvaluator(podsecurity.DefaultChecks(), nil)
	if err != nil {
		t.Fatal(err)
	}
	restricted := podsecurityapi.LevelVersion{Level: podsecurityapi.LevelRestricted, Version: podsecurityapi.LatestVersion()}
	for name, m := range migrations(t) {
		pod := m.job.Spec.Template
		for _, result := range evaluator.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec) {
			if !result.Allowed {
				t.Errorf("%s: %s: %s", name, result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}

// The Job's Pod is Ready while it runs, but serves nothing.
func TestMigrationJobGetsNoRequests(t *testing.T) {
	for name, m := range migrations(t) {
		pod := labels.Set(m.job.Spec.Template.Labels)
		for what, selector := range map[string]map[string]string{"Service": m.service.Spec.Selector, "Deployment": m.deployment.Spec.Selector.MatchLabels} {
			if labels.SelectorFromSet(selector).Matches(pod) {
				t.Errorf("%s: the %s selects the Job's Pod", name, what)
			}
		}
	}
}

func TestMigrationJobReachesDNSAndPostgreSQLOnly(t *testing.T) {
	for name, m := range migrations(t) {
		if reached := m.jobReaches(t); !slices.Equal(reached, []int32{53, 5432}) {
			t.Errorf("%s: the Job reaches the ports %v", name, reached)
		}
	}
}

func TestMigrationJobAcceptsNoConnections(t *testing.T) {
	for name, m := range migrations(t) {
		closed := false
		for _, policy := range m.policiesOfJob(t) {
			closed = closed || slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress)
			if len(policy.Spec.Ingress) > 0 {
				t.Errorf("%s: the policy %s opens the Job", name, policy.Name)
			}
		}
		if !closed {
			t.Errorf("%s: no policy closes the Job's ports", name)
		}
	}
}

// jobReaches returns the ports that the policies open to the Job, sorted.
func (m manifest) jobReaches(t *testing.T) []int32 {
	t.Helper()
	var ports []int32
	for _, policy := range m.policiesOfJob(t) {
		for _, rule := range policy.Spec.Egress {
			for _, port := range rule.Ports {
				ports = append(ports, port.Port.IntVal)
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// policiesOfJob returns the policies that select the Job's Pod.
func (m manifest) policiesOfJob(t *testing.T) []*networkingv1.NetworkPolicy {
	t.Helper()
	var selecting []*networkingv1.NetworkPolicy
	for _, policy := range m.networkPolicies {
		selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
		if err != nil {
			t.Fatal(err)
		}
		if selector.Matches(labels.Set(m.job.Spec.Template.Labels)) {
			selecting = append(selecting, policy)
		}
	}
	return selecting
}

// Kubernetes refuses a change of a Job, and Helm would fail.
func TestChartNamesEachMigrationJobAnew(t *testing.T) {
	names := map[string]string{}
	for change, text := range map[string]string{
		"none": `{}`, "a tag": `image: {tag: 1.1.0}`, "a setting": `config: {LOG_LEVEL: warn}`,
		"a label": `podLabels: {team: payments}`, "the Secret's version": `secret: {version: "2"}`, "the owner": `migration: {databaseUrlKey: owner}`,
	} {
		job := jobOf(t, text)
		if other, taken := names[job.Name]; taken {
			t.Errorf("%s and %s give the Job the same name %s", change, other, job.Name)
		}
		names[job.Name] = change
		if !strings.HasPrefix(job.Name, "dropgate-migrate-") || len(job.Name) > 63 {
			t.Errorf("%s: the Job's name is %s", change, job.Name)
		}
	}
	if again := jobOf(t, `replicaCount: 7`).Name; names[again] != "none" {
		t.Errorf("another number of replicas gives the Job the name %s", again)
	}
	if long := jobOf(t, `fullnameOverride: `+strings.Repeat("a", 60)).Name; len(long) > 63 {
		t.Errorf("the name %s has %d characters", long, len(long))
	}
}

func jobOf(t *testing.T, change string) *batchv1.Job {
	t.Helper()
	return renderChart(t, changed(t, change, `migration: {enabled: true}`)).job
}

func TestMigrationJobMayUseAnotherRole(t *testing.T) {
	m := renderChart(t, valueSets(t)["migration"])
	url := func(c corev1.Container) string {
		for _, variable := range c.Env {
			if variable.Name == "DATABASE_URL_FILE" {
				return variable.Value
			}
		}
		return ""
	}
	if got := url(m.job.Spec.Template.Spec.Containers[0]); got != "/run/secrets/dropgate/database-owner-url" {
		t.Errorf("the Job reads %q", got)
	}
	if got := url(m.server); got != "/run/secrets/dropgate/database-url" {
		t.Errorf("the server reads %q", got)
	}
}

func TestSQLiteAndMigrationJobExcludeEachOther(t *testing.T) {
	refuses(t, loadChart(t), "{sqlite: {enabled: true}, replicaCount: 1, config: {CUSTOMER_SOURCE: database}, migration: {enabled: true}}",
		"sqlite.enabled and migration.enabled exclude each other")
}
