package app

import (
	"fmt"
	"net/netip"
)

// parseProxy reads a network, or one address. Peers are compared as IPv4 where IPv6
// holds it, and without a zone.
func parseProxy(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if addr, errAddr := netip.ParseAddr(text); errAddr == nil && addr.Zone() == "" {
		prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	const mapped = 96 // bits before the IPv4 address
	switch addr := prefix.Addr(); {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is neither a CIDR such as 10.0.0.0/8 nor an address", text)
	case addr.Is4In6() && prefix.Bits() < mapped:
		return netip.Prefix{}, fmt.Errorf("%q holds more than the IPv4 addresses: write them as IPv4", text)
	case addr.Is4In6():
		return netip.PrefixFrom(addr.Unmap(), prefix.Bits()-mapped), nil
	}
	return prefix, nil
}
