package main

import (
	"fmt"
	"net/netip"

	"signalbox/engine"
)

// proxyFlags say which proxies are believed.
type proxyFlags struct {
	TrustedProxies []string `group:"listen" placeholder:"CIDR" help:"Proxies that are believed about the client's address, by X-Forwarded-For or the PROXY protocol: addresses, networks, or unix for those that come by a unix socket (default: none)."`

	proxies engine.Proxies // as Validate has read them
}

// Validate is called by kong once the flags are parsed.
func (f *proxyFlags) Validate() error {
	f.proxies = engine.Proxies{}
	for _, word := range f.TrustedProxies {
		if word == "unix" {
			f.proxies.Unix = true
			continue
		}
		prefix, err := netip.ParsePrefix(word)
		if addr, addrErr := netip.ParseAddr(word); addrErr == nil {
			prefix, err = addr.Prefix(addr.BitLen())
		}
		if err != nil || prefix.Addr().Zone() != "" || prefix.Addr().Is4In6() {
			return fmt.Errorf("--trusted-proxies: %q is neither an address, nor a network such as 10.0.0.0/8, nor unix", word)
		}
		f.proxies.Prefixes = append(f.proxies.Prefixes, prefix.Masked())
	}
	return nil
}
