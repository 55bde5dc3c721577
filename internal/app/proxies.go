package app

import (
	"fmt"
	"net/netip"
)

// parseProxy reads a CIDR or one address. An IPv4 address in IPv6 form becomes IPv4,
// as peers' addresses do.
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
		return netip.Prefix{}, fmt.Errorf("%q contains more than IPv4 addresses: write it as IPv4", text)
	case addr.Is4In6():
		return netip.PrefixFrom(addr.Unmap(), prefix.Bits()-mapped), nil
	}
	return prefix, nil
}
