package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"signalbox/engine/admin"
	"signalbox/engine/cluster"
	"signalbox/engine/registry"
	"signalbox/engine/telemetry"
)

// checkAdmin refuses an admin address that others can reach and need no token
// for.
func (s *Server) checkAdmin() error {
	tcp, ok := s.adminLn.Addr().(*net.TCPAddr)
	if s.cfg.AdminToken == "" && (!ok || !tcp.IP.IsLoopback()) {
		return fmt.Errorf("the admin address %s can be reached from other machines: it needs an admin token (--admin-token)", s.cfg.AdminListen)
	}
	return nil
}

// serveAdmin makes what the admin address serves.
func (s *Server) serveAdmin() {
	s.series = telemetry.NewSeries(len(s.loops), s.hub.Counts)
	var nameFor func(string) string
	if s.certificates != nil {
		nameFor = s.certificates.NameFor
	}
	handler := admin.New(admin.Options{
		Backend:  operator{backend{s.hub}, s},
		Series:   s.series,
		Registry: telemetry.NewRegistry(s.source()),
		Logger:   s.log,
		Hosts:    s.cfg.AdminHosts,
		Token:    s.cfg.AdminToken,
		Ready:    s.ready,
		Public:   s.Addr(),
		NameFor:  nameFor,
		AppsFile: s.cfg.AppsFile,
		Version:  s.cfg.Version,
		Commit:   s.cfg.Commit,
	})
	s.admin = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: admin.ReadTimeout,
		ReadTimeout:       admin.ReadTimeout,
		IdleTimeout:       adminIdle,
		WriteTimeout:      admin.WriteTimeout,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// adminIdle is how long a connection of the admin address may be idle: longer
// than the console and Prometheus usually are.
const adminIdle = 60 * time.Second

// source is where the metrics come from.
func (s *Server) source() telemetry.Source {
	return telemetry.Source{
		Counts: s.hub.Counts,
		Apps:   s.appStates,
		Sockets: func() (int, int) {
			return s.reactor.Conns(), s.reactor.Capacity()
		},
		Hooks:   func() telemetry.Hooks { return telemetry.Hooks(s.hooks.Stats()) },
		Cluster: s.clusterStats,
		Ready:   s.serving.Load,
		Version: s.cfg.Version,
		Commit:  s.cfg.Commit,
	}
}

// appStates returns the apps in force, in the order of their file.
func (s *Server) appStates() []telemetry.App {
	var list []telemetry.App
	for _, a := range s.hub.Keys().Apps() {
		u := s.hub.App(a.ID).Quota.Usage(time.Now())
		list = append(list, telemetry.App{
			ID: a.ID, Connections: u.ConcurrentNow, Messages: u.MessagesUsed,
			MaxConnections: a.Plan.MaxConcurrentConnections, MaxMessages: a.Plan.MaxMessagesPerPeriod,
		})
	}
	return list
}

// countSeconds fills the series once the loops run.
func (s *Server) countSeconds(ctx context.Context) {
	select {
	case <-s.readyC:
		s.series.Run(ctx)
	case <-ctx.Done():
	}
}

// operator is the server to whoever runs it.
type operator struct {
	backend
	server *Server
}

// CountChannels returns how many channels the app has.
func (o operator) CountChannels(app string) int { return o.App(app).Space.Count() }

// FindChannels lists channels with peers that are wanted.
func (o operator) FindChannels(app, after string, limit int, wanted func(string) bool) ([]registry.Listed, bool) {
	return o.ChannelsHere(app, "", after, limit, wanted)
}

// Capacity returns how many sockets are open and how many can be.
func (o operator) Capacity() (open, capacity int) {
	return o.server.reactor.Conns(), o.server.reactor.Capacity()
}

// Reload reads the apps file again.
func (o operator) Reload() error { return o.server.Reload() }

// Cluster returns how the cluster is, nil if the server stands alone.
func (o operator) Cluster() *cluster.Stats { return o.server.clusterStats() }
