package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"signalbox/engine/cluster"
)

const defaultRouteListen = ":6222"

// natsFlags say how NATS is reached; serve and doctor have them.
type natsFlags struct {
	NATSCredentials string `name:"nats-credentials" group:"cluster" placeholder:"FILE" help:"Credentials for the NATS servers, as nsc writes them (default: none)."`
	NATSCA          string `name:"nats-ca" group:"cluster" placeholder:"FILE" help:"Who may have signed the certificates of the NATS servers, PEM (default: whom the system trusts)."`
	NATSCert        string `name:"nats-cert" group:"cluster" placeholder:"FILE" help:"Certificate to show to the NATS servers, PEM; embedded, routes are TLS with it (default: none)."`
	NATSKey         string `name:"nats-key" group:"cluster" placeholder:"FILE" help:"Its key, PEM."`

	Node string `group:"cluster" placeholder:"NAME" help:"What this node is called in logs, metrics and the console (default: the host's name)."`

	NATSListen     string   `name:"nats-listen" group:"cluster" placeholder:"ADDR" help:"Embedded: where other nodes make routes to this one (default: :6222)."`
	NATSRoutes     []string `name:"nats-routes" group:"cluster" placeholder:"ADDR" help:"Embedded: host:port of other nodes, comma-separated or repeated; one that is there will do, and a node's own may be among them."`
	NATSSecretFile string   `name:"nats-secret-file" group:"cluster" placeholder:"FILE" help:"Embedded: file with the secret that all nodes share; required unless --nats-listen is on loopback."`
}

// clusterFlags say which cluster the server joins; without any it stands alone.
type clusterFlags struct {
	NATS string `name:"nats" group:"cluster" placeholder:"URL" help:"Join the cluster on these NATS servers, comma-separated, or embedded: the process runs one itself (default: none, the server stands alone)."`

	natsFlags `embed:""`

	cluster *cluster.Config // as Validate has read them; nil: none
}

// Validate is called by kong once the flags are parsed.
func (f *clusterFlags) Validate() (err error) {
	if f.NATS == "" {
		return f.unused()
	}
	f.cluster, err = f.config(f.NATS)
	return err
}

// unused reports flags that are of use with --nats alone. The node's name is not
// among them: it may be set for a whole fleet.
func (f *natsFlags) unused() error {
	if f.NATSCredentials+f.NATSCA+f.NATSCert+f.NATSKey+f.NATSListen+f.NATSSecretFile != "" || len(f.NATSRoutes) > 0 {
		return errors.New("the other --nats- flags are of use with --nats alone")
	}
	return nil
}

// config is the cluster's form of the flags.
func (f *natsFlags) config(urls string) (*cluster.Config, error) {
	c := &cluster.Config{URLs: urls, Name: f.Node, CredentialsFile: f.NATSCredentials, CAFile: f.NATSCA, CertFile: f.NATSCert, KeyFile: f.NATSKey}
	switch embedded := urls == cluster.EmbeddedNATS; {
	case (c.CertFile == "") != (c.KeyFile == ""):
		return nil, errors.New("--nats-cert and --nats-key go together")
	case embedded && c.CredentialsFile != "":
		return nil, errors.New("--nats-credentials are for NATS servers elsewhere; embedded, nodes share --nats-secret-file")
	case embedded:
		c.Embedded.Listen, c.Embedded.Routes = f.NATSListen, f.NATSRoutes
		fillIn(&c.Embedded.Listen, defaultRouteListen)
		if err := f.readSecret(&c.Embedded); err != nil {
			return nil, err
		}
	case f.NATSListen+f.NATSSecretFile != "" || len(f.NATSRoutes) > 0:
		return nil, errors.New("--nats-listen, --nats-routes and --nats-secret-file are of use with --nats embedded alone")
	}
	if c.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("the host has no name, so give one by --node: %w", err)
		}
		c.Name = name
	}
	return c, c.Check()
}

// maxSecret is the longest secret that is read.
const maxSecret = 4 << 10

// readSecret reads the file of the secret, if there is one.
func (f *natsFlags) readSecret(e *cluster.Embedded) error {
	if f.NATSSecretFile == "" {
		if !e.OnLoopback() {
			return fmt.Errorf("routes on %s can be reached from other machines: they need a --nats-secret-file, the same on all nodes", e.Listen)
		}
		return nil
	}
	text, err := os.ReadFile(f.NATSSecretFile)
	if err != nil {
		return fmt.Errorf("--nats-secret-file: %w", err)
	}
	e.Secret = strings.TrimSpace(string(text))
	if len(e.Secret) < cluster.MinSecret || len(e.Secret) > maxSecret {
		return fmt.Errorf("--nats-secret-file: %s holds no secret of %d to %d characters: openssl rand -hex 32 makes one", f.NATSSecretFile, cluster.MinSecret, maxSecret)
	}
	return nil
}
