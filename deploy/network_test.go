package deploy_test

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

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
		if got := namespacesAt(t, m, adminPort); !slices.Equal(got, []string{"monitoring"}) {
			t.Errorf("the admin port is open to %v, want monitoring", got)
		}
	})
}

func TestPublicPortOpensToTheWayInOnly(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		var want []string
		if m.route != nil {
			want = append(want, "gateways")
		}
		if m.ingress != nil {
			want = append(want, "traefik")
		}
		if got := namespacesAt(t, m, publicPort); !slices.Equal(got, want) {
			t.Errorf("the public port is open to %v, want %v", got, want)
		}
	})
}

func TestEgressReachesNoPrivateHTTPS(t *testing.T) {
	m := renderWith(t, "egress")
	var blocks []*networkingv1.IPBlock
	for _, peer := range m.networkPolicies["dropgate-egress-https"].Spec.Egress[0].To {
		blocks = append(blocks, peer.IPBlock)
	}
	for address, want := range map[string]bool{
		"35.192.0.1": true, "2600:1f18::1": true,
		"169.254.169.254": false, "10.96.0.1": false, "172.31.0.1": false, "192.168.1.1": false, "100.100.100.200": false,
		"127.0.0.1": false, "fd00:ec2::254": false, "fe80::1": false,
	} {
		if got := slices.ContainsFunc(blocks, func(b *networkingv1.IPBlock) bool { return permits(t, b, address) }); got != want {
			t.Errorf("%s is open: %v, want %v", address, got, want)
		}
	}
}

// permits reports whether the block has the address and does not except it.
func permits(t *testing.T, block *networkingv1.IPBlock, address string) bool {
	t.Helper()
	contains := func(cidr string) bool {
		prefix, err := netip.ParsePrefix(cidr)
		if err != nil {
			t.Fatal(err)
		}
		return prefix.Contains(netip.MustParseAddr(address))
	}
	return contains(block.CIDR) && !slices.ContainsFunc(block.Except, contains)
}

// TestEgressReachesRedisSentinelsAndNodes reads the ports of the URLs in
// docs/deployment.md, for each REDIS_MODE.
func TestEgressReachesRedisSentinelsAndNodes(t *testing.T) {
	page := readFile(t, "../docs/deployment.md")
	urls := regexp.MustCompile(`(?m)^\| .(server|sentinel|cluster).[^|]* \| .(rediss://[^ `+"`"+`]+)`).FindAllStringSubmatch(page, -1)
	if len(urls) != 3 {
		t.Fatalf("the page has %d URLs, want 3", len(urls))
	}
	want := map[string]bool{"6379": true} // of each server
	for _, u := range urls {
		for _, port := range regexp.MustCompile(`:(\d+)`).FindAllStringSubmatch(u[2], -1) {
			want[port[1]] = true
		}
	}
	for name, m := range map[string]manifest{"kustomize": renderWith(t, "egress"), "chart": renderChart(t, valueSets(t)["production"]).manifest} {
		got := map[string]bool{}
		for _, rule := range m.networkPolicies["dropgate-egress-redis"].Spec.Egress {
			for _, port := range rule.Ports {
				got[port.Port.String()] = true
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s opens %v, want %v", name, got, want)
		}
	}
}

func TestEveryEgressRuleNamesPortAndDestination(t *testing.T) {
	eachManifest(t, func(t *testing.T, m manifest) {
		for name, policy := range m.networkPolicies {
			for _, rule := range policy.Spec.Egress {
				if len(rule.To) == 0 || len(rule.Ports) == 0 {
					t.Errorf("%s opens %+v", name, rule)
				}
			}
		}
	})
}

// namespacesAt returns the namespaces with access to the port. A rule for a port
// without a namespace is a failure.
func namespacesAt(t *testing.T, m manifest, port int32) []string {
	t.Helper()
	var namespaces []string
	for name, policy := range m.networkPolicies {
		for _, rule := range policy.Spec.Ingress {
			if len(rule.Ports) != 1 || len(rule.From) == 0 {
				t.Fatalf("%s opens %+v", name, rule)
			}
			if containerPort(m.server, *rule.Ports[0].Port) == port {
				namespaces = append(namespaces, namespacesOf(t, rule.From)...)
			}
		}
	}
	slices.Sort(namespaces)
	return namespaces
}

func namespacesOf(t *testing.T, peers []networkingv1.NetworkPolicyPeer) []string {
	t.Helper()
	namespaces := make([]string, len(peers))
	for i, peer := range peers {
		if peer.NamespaceSelector == nil {
			t.Fatalf("a policy opens a port to %+v", peer)
		}
		namespaces[i] = peer.NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"]
	}
	return namespaces
}

// containerPort resolves a port by name or number. An unknown name is 0.
func containerPort(container corev1.Container, port intstr.IntOrString) int32 {
	if port.Type == intstr.Int {
		return port.IntVal
	}
	return containerPortNamed(container, port.StrVal)
}

func containerPortNamed(container corev1.Container, name string) int32 {
	for _, p := range container.Ports {
		if p.Name == name {
			return p.ContainerPort
		}
	}
	return 0
}
