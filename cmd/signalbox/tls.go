package main

import (
	"errors"
	"fmt"

	"signalbox/engine"
	"signalbox/engine/secure"
)

// tlsFlags say how the public address speaks TLS; without any it is plain.
type tlsFlags struct {
	TLSCert       []string `name:"tls-cert" group:"tls" placeholder:"FILE" help:"Certificate chain, PEM: the public address speaks TLS. May be repeated, each with its --tls-key: chosen by the name a client asks for, the first if none fits; read again when a file changes."`
	TLSKey        []string `name:"tls-key" group:"tls" placeholder:"FILE" help:"Its key, PEM; as many as --tls-cert, in the same order."`
	ACMEDomain    []string `name:"acme-domain" group:"tls" placeholder:"NAME" help:"Obtain and renew a certificate for this name, kept below --data-dir; may be repeated. The authority must reach the public address as port 443 of it."`
	ACMEDirectory string   `name:"acme-directory" group:"tls" placeholder:"URL" help:"Directory of the ACME authority (default: Let's Encrypt, whose terms you then agree to)."`
	ACMEEmail     string   `name:"acme-email" group:"tls" placeholder:"ADDR" help:"Where the authority may write to (default: none)."`
}

// Validate is called by kong once the flags are parsed.
func (f *tlsFlags) Validate() error {
	switch {
	case len(f.TLSCert) != len(f.TLSKey):
		return fmt.Errorf("as many --tls-key as --tls-cert, please: there are %d and %d", len(f.TLSKey), len(f.TLSCert))
	case len(f.ACMEDomain) == 0 && (f.ACMEDirectory != "" || f.ACMEEmail != ""):
		return errors.New("--acme-directory and --acme-email are of use with --acme-domain alone")
	}
	return nil
}

// wanted reports whether there is to be TLS.
func (f *tlsFlags) wanted() bool { return len(f.TLSCert) > 0 || len(f.ACMEDomain) > 0 }

// tls is the engine's form.
func (f *tlsFlags) tls() engine.TLS {
	t := engine.TLS{ACMEDomains: f.ACMEDomain, ACMEDirectory: f.ACMEDirectory, ACMEEmail: f.ACMEEmail}
	for i, cert := range f.TLSCert {
		t.Pairs = append(t.Pairs, secure.Pair{Cert: cert, Key: f.TLSKey[i]})
	}
	return t
}
