package engine

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"signalbox/engine/auth"
	"signalbox/engine/quota"
	"signalbox/engine/reactor"
	"signalbox/engine/session"
	"signalbox/engine/telemetry"
	"signalbox/protocol/frame"
)

// gate lets connections in: it verifies their credentials and opens their
// sessions. Any goroutine.
type gate struct {
	// Immutable.
	hub    *session.Hub
	rate   *quota.AddrRate // nil: any rate
	refuse Refuse
	counts []*telemetry.Loop // by loop
	log    *slog.Logger

	draining atomic.Bool
}

var (
	errDraining = &reactor.HTTPError{
		Status: http.StatusServiceUnavailable, Code: "unavailable",
		Message: "the server is going away, try again", Header: "Retry-After: 1",
	}
	errConnectRate = &reactor.HTTPError{
		Status: http.StatusTooManyRequests, Code: "rate_limited",
		Message: "too many connects from this address", Header: "Retry-After: 60",
	}
)

// Admit decides about one upgrade request.
func (g *gate) Admit(loop int, c *reactor.Conn, r *reactor.Request, response []byte) (reactor.Receiver, *reactor.HTTPError) {
	now := time.Now()
	if g.draining.Load() {
		return nil, errDraining
	}
	if g.rate != nil && r.Addr.IsValid() && !g.rate.Allow(r.Addr, now) {
		return nil, errConnectRate
	}
	id, err := g.identify(r, now)
	if err != nil {
		return nil, g.turnAway(loop, c, r, err, response)
	}
	if s := g.hub.Loop(loop).Open(c, id, response); s != nil {
		return s, nil
	}
	return nil, nil
}

// identify verifies the credential of the request.
func (g *gate) identify(r *reactor.Request, now time.Time) (*auth.Identity, error) {
	token, _ := r.Param("token")
	key, hasKey := r.Param("key")
	if len(token) > 0 || !hasKey {
		return g.hub.Keys().VerifyTokenBytes(token, now)
	}
	return g.hub.Keys().VerifyKey(string(key), r.Origin)
}

// turnAway refuses a credential: with an HTTP status, or by an upgrade followed
// by a close code.
func (g *gate) turnAway(loop int, c *reactor.Conn, r *reactor.Request, err error, response []byte) *reactor.HTTPError {
	refusal := (*auth.Refusal)(nil)
	if !errors.As(err, &refusal) {
		return &reactor.HTTPError{Status: http.StatusInternalServerError, Code: "internal_error", Message: "try again"}
	}
	g.log.Debug("credential refused", "client", r.Addr, "status", refusal.Status, "code", int(refusal.Close), "detail", refusal.Detail)
	if refusal.Status != 0 && g.refuse == RefuseHTTP {
		return &reactor.HTTPError{Status: refusal.Status, Code: refusal.Code, Message: refusal.Message}
	}
	g.counts[loop].Refused(http.StatusSwitchingProtocols, strconv.Itoa(int(refusal.Close)))
	c.Write(frame.AppendClose(response, refusal.Close, refusal.Close.Reason()))
	c.Finish()
	return nil
}
