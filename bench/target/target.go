package target

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"signalbox/bench/result"
)

// Target is a server under test.
type Target struct {
	Name        string
	Addr        netip.AddrPort
	Dialect     Dialect
	Process     *Process         // nil if it cannot be measured
	Broker      *Process         // the NATS server between a cluster's nodes, nil if there is none
	Admin       string           // address of the admin listener, "" if unknown
	Commit      string           // that a server of this project was built from, "" if unknown
	dir         string           // files of a server of ours
	certificate *Certificate     // of a server of ours with TLS
	behind      *Target          // the server that a terminator stands before
	command     Command          // that starts it, for Restart
	port        *port            // of a server of ours, kept for Restart; nil: it was given one
	members     []netip.AddrPort // of a cluster's nodes, where members of channels are
}

// At is where the i-th member of a channel connects to: a cluster's nodes take
// turns. Who publishes connects to Addr.
func (t *Target) At(i int) netip.AddrPort {
	if len(t.members) == 0 {
		return t.Addr
	}
	return t.members[i%len(t.members)]
}

// Signalbox returns the dialect of a target that is this project's server.
func (t *Target) Signalbox() *Signalbox {
	s, _ := t.Dialect.(*Signalbox)
	return s
}

// Close stops the server if it is ours.
func (t *Target) Close() error {
	var err error
	if t.Process != nil {
		err = t.Process.Stop()
	}
	if t.behind != nil {
		err = errors.Join(err, t.behind.Close())
	}
	if t.dir != "" {
		_ = os.RemoveAll(t.dir)
	}
	t.port.release()
	return err
}

// Remote says where a server is that somebody else has started.
type Remote struct {
	URL      string
	Key      Key
	PID      int    // of its process if it runs here, 0: it cannot be measured
	CA       string // file with the certificates to trust, PEM; the system's if empty
	Insecure bool   // any certificate will do
}

// Running describes a server that somebody else has started.
func Running(r Remote) (*Target, error) {
	u, err := url.Parse(r.URL)
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	var trust *tls.Config
	port := u.Port()
	switch u.Scheme {
	case "ws":
		port = cmp.Or(port, "80")
	case "wss":
		port = cmp.Or(port, "443")
		if trust, err = r.trust(u.Hostname()); err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
	default:
		return nil, fmt.Errorf("--url: the scheme is %q, it must be ws or wss", u.Scheme)
	}
	addr, err := resolve(net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, fmt.Errorf("--url: %w", err)
	}
	path := u.Path
	if path == "" || path == "/" {
		path = "/v1"
	}
	t := &Target{Name: "signalbox", Addr: addr, Dialect: &Signalbox{Host: u.Host, Path: path, Key: r.Key, TLS: trust}}
	if r.PID != 0 {
		t.Process, err = Attach(r.PID)
		t.Commit = commitOf(fmt.Sprintf("/proc/%d/exe", r.PID))
	}
	return t, err
}

// trust is how a client checks the server's certificate.
func (r Remote) trust(host string) (*tls.Config, error) {
	cfg := &tls.Config{ServerName: host, InsecureSkipVerify: r.Insecure, DynamicRecordSizingDisabled: true}
	if r.CA == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(r.CA)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", r.CA)
	}
	return cfg, nil
}

func resolve(hostPort string) (netip.AddrPort, error) {
	tcp, err := net.ResolveTCPAddr("tcp", hostPort)
	if err != nil {
		return netip.AddrPort{}, err
	}
	addr := tcp.AddrPort()
	if !addr.Addr().IsValid() {
		return netip.AddrPort{}, fmt.Errorf("%q names no host", hostPort)
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}

// Own says how to start the server from this module.
type Own struct {
	Bin    string   // the binary; built if empty
	Listen string   // any free port of 127.0.0.1 if empty
	Loops  int      // event loops
	Cores  []int    // to pin it to
	TLS    bool     // it speaks TLS
	Key    Key      // of its app; made if there is none
	Flags  []string // further flags of serve
	Env    []string
}

const appsTemplate = `apps:
  - id: app_bench
    plan: {name: BENCH, maxConcurrentConnections: 0, maxMessagesPerPeriod: 0, overagesAllowed: false, overagesEnabled: false}
    keys:
      - {id: %s, secret: %s, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}
`

// StartOwn builds and starts the server from this module.
func StartOwn(ctx context.Context, own Own) (t *Target, err error) {
	dir, err := os.MkdirTemp("", "signalbox-bench-")
	if err != nil {
		return nil, err
	}
	var kept *port
	defer func() {
		if err != nil {
			kept.release()
			_ = os.RemoveAll(dir)
		}
	}()
	commit := commitOf(own.Bin)
	if own.Bin == "" {
		commit = result.Checkout()
		own.Bin = filepath.Join(dir, "signalbox")
		if err := Build(ctx, own.Bin, "signalbox/cmd/signalbox"); err != nil {
			return nil, err
		}
	}
	if own.Listen == "" {
		if kept, err = keepPort(); err != nil {
			return nil, err
		}
		own.Listen = kept.addr.String()
	}
	key := own.Key
	if key == (Key{}) {
		key = newKey()
	}
	apps := filepath.Join(dir, "apps.yaml")
	if err := os.WriteFile(apps, fmt.Appendf(nil, appsTemplate, key.ID, key.Secret), 0o600); err != nil {
		return nil, err
	}
	t = &Target{Name: "signalbox", Commit: commit, dir: dir, port: kept}
	if t.certificate, err = newCertificate(dir); err != nil {
		return nil, err
	}
	var trust *tls.Config
	if own.TLS {
		own.Flags = append(own.Flags, "--tls-cert", t.certificate.Cert, "--tls-key", t.certificate.Key)
		trust = t.certificate.Client
	}
	t.command = Command{
		Args: append([]string{own.Bin, "serve", "--listen", own.Listen, "--admin-listen", "127.0.0.1:0", "--apps", apps,
			"--data-dir", filepath.Join(dir, "data"), "--log-format", "json", "--loops", strconv.Itoa(own.Loops),
			"--message-rate", "0"}, own.Flags...),
		Env: own.Env, Cores: own.Cores, Ready: t.listening,
	}
	addr, err := t.start(ctx)
	if err != nil {
		return nil, err
	}
	t.Dialect = &Signalbox{Host: addr, Path: "/v1", Key: key, TLS: trust}
	return t, nil
}

// start starts our server and returns its address.
func (t *Target) start(ctx context.Context) (string, error) {
	p, addr, err := Start(ctx, t.command)
	if err != nil {
		return "", err
	}
	t.Process = p
	if t.Addr, err = netip.ParseAddrPort(addr); err != nil {
		p.Kill()
		return "", fmt.Errorf("the server listens on %q: %w", addr, err)
	}
	return addr, nil
}

// Restart ends our server in order and starts it again on the same address, with
// the same keys. It returns how long the old one took to end.
func (t *Target) Restart(ctx context.Context) (drained time.Duration, err error) {
	if t.command.Args == nil {
		return 0, errors.New("target: only a server that the harness has started can be restarted")
	}
	i := slices.Index(t.command.Args, "--listen")
	t.command.Args[i+1] = t.Addr.String()
	start := time.Now()
	if err := t.Process.Stop(); err != nil {
		return 0, err
	}
	drained = time.Since(start)
	_, err = t.start(ctx)
	return drained, err
}

// listening looks for the server's log entry that tells its addresses.
func (t *Target) listening(line string) (addr string, ok bool) {
	var entry struct{ Msg, Addr, Admin string }
	if json.Unmarshal([]byte(line), &entry) != nil || entry.Msg != "listening" {
		return "", false
	}
	t.Admin = entry.Admin
	return entry.Addr, true
}

// commitOf is the commit that a Go program was built from, "" if it does not tell.
func commitOf(bin string) string {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return ""
	}
	return result.Commit(info)
}

// Build compiles a command of this module.
func Build(ctx context.Context, bin, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", bin, pkg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", pkg, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Terminate starts a terminator, whose command ends with what is asked of it,
// before a plain server of ours. The target that is both is measured as one; its
// Close stops both.
func Terminate(ctx context.Context, name string, c Command, plain *Target) (*Target, error) {
	c.Args = append(c.Args, "--cert", plain.certificate.Cert, "--key", plain.certificate.Key, "--to", plain.Addr.String())
	behind := plain.Signalbox()
	t, err := StartPeer(ctx, name, c, func(host string) Dialect {
		return &Signalbox{Host: host, Path: behind.Path, Key: behind.Key, TLS: plain.certificate.Client}
	})
	if err != nil {
		return nil, err
	}
	t.behind, t.Process.with = plain, []*Process{plain.Process}
	return t, nil
}

// StartPeer starts another server, that speaks the hub's dialect if dialect is
// nil. The command prints one line of JSON, {"addr":"host:port","pid":n}, once it
// listens, and ends on SIGTERM.
func StartPeer(ctx context.Context, name string, c Command, dialect func(host string) Dialect) (*Target, error) {
	var said announcement
	c.Ready = said.read
	p, addr, err := Start(ctx, c)
	if err != nil {
		return nil, err
	}
	// A wrapper such as npm tells the process that does the work.
	if said.PID != 0 {
		p.PID = said.PID
	}
	t := &Target{Name: name, Process: p, Dialect: &Hub{Host: addr}}
	if dialect != nil {
		t.Dialect = dialect(addr)
	}
	if t.Addr, err = resolve(addr); err != nil {
		p.Kill()
		return nil, fmt.Errorf("%s listens on %q: %w", name, addr, err)
	}
	return t, nil
}

// announcement is the line in which a peer tells where it listens.
type announcement struct {
	Addr string `json:"addr"`
	PID  int    `json:"pid"`
}

func (a *announcement) read(line string) (addr string, ok bool) {
	if json.Unmarshal([]byte(line), a) != nil || a.Addr == "" {
		return "", false
	}
	return a.Addr, true
}
