package load

import "net/netip"

// Sources are the addresses that connections come from.
type Sources []netip.Addr

// perAddress is how many connections share a source address on loopback: few
// enough that neither ports nor a per-address rate run out.
const perAddress = 64

// At returns the source address of the i-th connection; the zero address is the
// system's choice. Loopback stands for 127.1.0.0 and up.
func (s Sources) At(i int) netip.Addr {
	if len(s) == 0 {
		return netip.Addr{}
	}
	if s[0] != Loopback {
		return s[i%len(s)]
	}
	n := i / perAddress
	return netip.AddrFrom4([4]byte{127, byte(1 + n/(256*254)%254), byte(n / 254), byte(1 + n%254)})
}

// Loopback as the only source spreads connections over 127.0.0.0/8.
var Loopback = netip.AddrFrom4([4]byte{127, 0, 0, 0})

// SourcesFor returns the sources to use towards a server: those given, or all of
// 127.0.0.0/8 if the server is there.
func SourcesFor(server netip.Addr, given []netip.Addr) Sources {
	if len(given) == 0 && server.Is4() && server.IsLoopback() {
		return Sources{Loopback}
	}
	return given
}
