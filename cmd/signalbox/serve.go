package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"signalbox/engine"
	"signalbox/engine/handover"
)

const (
	defaultListen    = ":8080"
	defaultDevListen = "127.0.0.1:8080"

	// defaultDevAdminListen is any free port: the address is printed.
	defaultDevAdminListen = "127.0.0.1:0"

	defaultAppsFile = "apps.yaml"
	defaultDataDir  = "data"
)

// serveCmd runs the server. Addresses and files have their defaults in
// [serveCmd.config], not in the grammar: they differ with --dev.
type serveCmd struct {
	Dev bool `help:"Try it: no files, an app with fresh keys, all data in memory; prints what to paste."`

	Listen      string `group:"listen" placeholder:"ADDR" help:"Public address, for WebSocket and REST: host:port, or unix:/path (default: :8080; with --dev 127.0.0.1:8080)."`
	APIListen   string `name:"api-listen" group:"listen" placeholder:"ADDR" help:"Second address for REST alone (default: none)."`
	AdminListen string `group:"listen" placeholder:"ADDR" help:"Address for the console, /metrics, /healthz, /readyz and /debug/pprof/; keep it private (default: none; with --dev any free port of 127.0.0.1)."`

	adminFlags `embed:""`

	Apps    string `group:"data" placeholder:"FILE" help:"File with apps and keys; read again when it changes and on SIGHUP (default: apps.yaml)."`
	DataDir string `group:"data" placeholder:"DIR" help:"Directory for usage counts, certificates from ACME and events that wait for webhooks; one server each (default: data)."`

	HookSpool int64 `group:"data" placeholder:"BYTES" default:"${hookSpool}" help:"Bytes of events that may wait for webhooks; beyond, the oldest are dropped (default: ${default})."`

	tlsFlags `embed:""`

	clusterFlags `embed:""`

	proxyFlags `embed:""`
	limitFlags `embed:""`

	presenceFlags `embed:""`
	Loops         int           `group:"tuning" placeholder:"N" help:"Event loops; 0: one a core (default: 0)."`
	DrainTimeout  time.Duration `group:"tuning" placeholder:"D" default:"${drainTimeout}" help:"Time over which connections are closed on SIGTERM, or once a successor serves (default: ${default})."`
	IOURing       string        `name:"io-uring" group:"tuning" placeholder:"HOW" enum:"auto,on,off" default:"auto" help:"Send fan-outs by io_uring, which saves system calls: auto, where the kernel lets us, on, or off (default: ${default})."`
	Refuse        string        `group:"tuning" placeholder:"HOW" enum:"http,close" default:"http" help:"Answer to a malformed credential or a foreign origin: http, a 401 as the hosted service gives, or close, an upgrade and then close code 4001, which page code can see (default: ${default})."`

	memoryFlags `embed:""`

	loggingFlags `embed:""`
}

// Validate is called by kong once the flags are parsed.
func (c *serveCmd) Validate() error {
	if c.Dev && (c.Apps != "" || c.DataDir != "") {
		return errors.New("--dev uses no files: leave out --apps and --data-dir")
	}
	if c.Dev && c.wanted() {
		return errors.New("--dev is for this machine, where ws: will do: leave out TLS")
	}
	if err := c.tlsFlags.Validate(); err != nil {
		return err
	}
	if c.Dev && c.NATS != "" {
		return errors.New("--dev has keys of its own, which no other node knows: leave out --nats")
	}
	if err := c.clusterFlags.Validate(); err != nil {
		return err
	}
	if c.Dev && strings.HasPrefix(c.Listen, "unix:") {
		return errors.New("--dev prints URLs, and a unix socket has none: leave out --listen")
	}
	if err := c.proxyFlags.Validate(); err != nil {
		return err
	}
	if err := c.limitFlags.Validate(); err != nil {
		return err
	}
	if err := c.presenceFlags.Validate(); err != nil {
		return err
	}
	if err := c.memoryFlags.Validate(); err != nil {
		return err
	}
	if err := atLeast("hook-spool", c.HookSpool, engine.MinHookSpool); err != nil {
		return err
	}
	if err := c.adminFlags.Validate(); err != nil {
		return err
	}
	if err := atLeast("loops", c.Loops, 0); err != nil {
		return err
	}
	return atLeast("drain-timeout", c.DrainTimeout, 0)
}

// Run serves until a signal ends it.
func (c *serveCmd) Run(std *stdio) error {
	logger, err := c.logger(std.err)
	if err != nil {
		return err
	}
	if err := c.apply(logger); err != nil {
		return err
	}
	life := newLifecycle(std.abort)

	config := c.config(logger)
	if config.Predecessor, err = handover.Inherit(); err != nil {
		return err
	}
	var dev *devApp
	if c.Dev {
		if dev, err = newDevApp(time.Now()); err != nil {
			return err
		}
		config.Apps = dev.set
	} else if err := requireAppsFile(config.AppsFile); err != nil {
		return err
	}
	server, err := engine.New(config)
	if err != nil {
		return err
	}
	go func() {
		<-server.Ready()
		if dev != nil {
			_ = dev.print(std.out, server.Addr(), server.AdminAddr()) // nobody may be there to read it
		}
		life.tellReady(logger)
		if p := config.Predecessor; p != nil {
			_ = p.Serving() // if nobody is there to hear it, this process serves all the same
		}
		<-server.Draining()
		tellStopping(logger) // not when a successor serves: the service goes on then
	}()
	go c.switchOnSignal(life.ctx, life.levelC, logger)
	go life.upgradeOnSignal(server.Upgrade, logger)
	go life.reloadOnHangup(server.Reload, logger)
	return server.Run(life.ctx)
}

// config is the engine's configuration as the flags have it.
func (c *serveCmd) config(logger *slog.Logger) engine.Config {
	config := engine.DefaultConfig()
	config.Listen = c.Listen
	config.TrustedProxies = c.proxies
	config.APIListen = c.APIListen
	config.AdminListen = c.AdminListen
	config.AdminHosts, config.AdminToken = c.AdminHost, c.AdminToken
	config.TLS = c.tls()
	config.Cluster = c.cluster
	config.AppsFile = c.Apps
	config.DataDir = c.DataDir
	config.Loops = c.Loops
	config.IOURing = engine.IOURing(c.IOURing)
	config.DrainTimeout = c.DrainTimeout
	config.Refuse = engine.Refuse(c.Refuse)
	config.HookSpool = c.HookSpool
	config.Version, config.Commit = buildVersion(), buildCommit()
	config.Limits = c.limits(c.presenceFlags)
	config.Limits.MaxBacklogTotal = c.MaxBacklogTotal.of(readHost("/").budget(debug.SetMemoryLimit(-1)))
	config.Logger = logger

	if c.Dev {
		fillIn(&config.Listen, defaultDevListen)
		fillIn(&config.AdminListen, defaultDevAdminListen)
		return config
	}
	fillIn(&config.Listen, defaultListen)
	fillIn(&config.AppsFile, defaultAppsFile)
	fillIn(&config.DataDir, defaultDataDir)
	return config
}

// fillIn sets an empty *value.
func fillIn(value *string, standard string) {
	if *value == "" {
		*value = standard
	}
}

// requireAppsFile says what to do about a missing apps file, which is how most
// first starts fail.
func requireAppsFile(path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf(`no apps file %s: write one with "signalbox init", or try "signalbox serve --dev", which needs none`, path)
	}
	return nil
}
