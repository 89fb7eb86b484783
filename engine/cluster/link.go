package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	dialTimeout   = 2 * time.Second
	pingInterval  = time.Second // a cut without a word is seen within three of them
	reconnectWait = 250 * time.Millisecond
	complainEvery = 10 * time.Second

	// payloadSlack is what a message takes beside its data: metadata, names, which
	// can double in JSON, and lengths.
	payloadSlack = 8 << 10
)

// link connects to NATS and hears what every node hears. Afterwards the
// connection lasts until it is closed, however often it breaks.
func (b *NATS) link(c Config) error {
	urls := c.URLs
	if urls == EmbeddedNATS {
		urls = "" // nobody else can be reached by it
		if err := b.startServer(&c); err != nil {
			return err
		}
	}
	options := b.options(c)
	conn, err := nats.Connect(urls, options...)
	if err != nil {
		if fatal(err) {
			return fmt.Errorf("cluster: NATS refuses: %w", err)
		}
		b.log.Warn("NATS cannot be reached, trying on", "error", err)
		conn, err = nats.Connect(urls, append(options, nats.RetryOnFailedConnect(true))...)
		if err != nil {
			return fmt.Errorf("cluster: NATS: %w", err)
		}
	} else if conn.MaxPayload() < b.maxPayload {
		defer conn.Close()
		return fmt.Errorf("cluster: NATS takes messages up to %d bytes (max_payload), %d are needed",
			conn.MaxPayload(), b.maxPayload)
	}
	b.conn = conn
	for _, subject := range b.subjects() {
		if _, err := conn.ChanSubscribe(subject, b.messageC); err != nil {
			conn.Close()
			return fmt.Errorf("cluster: NATS: %w", err)
		}
	}
	if conn.IsConnected() && conn.FlushTimeout(b.times.dial) == nil && deniedSubscription(conn.LastError()) {
		defer conn.Close()
		return fmt.Errorf("cluster: NATS refuses: %w", conn.LastError())
	}
	if !conn.IsConnected() {
		b.out.comeLate()
	}
	return nil
}

// subjects are those that a node hears as long as it lives: others wait for its answers.
func (b *NATS) subjects() []string {
	return []string{subjectAll, subjectHello, b.welcome, b.replies + "*", string(appendNodeSubject(nil, b.id))}
}

func (b *NATS) options(c Config) []nats.Option {
	options := []nats.Option{
		nats.Name("signalbox " + c.Name),
		nats.NoEcho(),
		nats.Timeout(b.times.dial),
		nats.PingInterval(b.times.ping),
		nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectWait, reconnectWait),
		nats.IgnoreAuthErrorAbort(),
		nats.SkipSubjectValidation(),
		nats.NoCallbacksAfterClientClose(),
		nats.SetCustomDialer(b.socket),
		nats.ConnectHandler(func(*nats.Conn) { b.linkedNow(true) }),
		nats.ReconnectHandler(b.relinked),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			b.log.Warn("link to NATS is down", "error", err)
			b.linkedNow(false)
		}),
		nats.ErrorHandler(b.complaint()),
	}
	return append(options, b.access(&c)...)
}

// complaint returns what takes errors of the connection, one after the other. What
// NATS denies it denies every time: not all of that is for the log.
func (b *NATS) complaint() nats.ErrHandler {
	var logged time.Time
	return func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if b.deafens(err) {
			if b.out.deafened([]byte{kindBye}) {
				b.log.Error("NATS does not let this node hear the others: it leaves them", "error", err, "retry", b.times.measure)
			}
			return
		}
		denied := deniedSubscription(err)
		if errors.Is(err, nats.ErrMaxSubscriptionsExceeded) {
			b.out.deny()
		}
		if now := time.Now(); now.Sub(logged) >= complainEvery {
			logged = now
			if denied {
				b.log.Error("NATS denies a subscription: some messages of other nodes do not come; give the account more (max_subscriptions) or the user signalbox.>", "error", err)
			} else {
				b.log.Warn("NATS reports an error", "error", err)
			}
		}
		if !denied { // which telling all shares anew would not mend
			b.out.dropped()
		}
	}
}

// deniedSubscription reports whether NATS does not let this node hear something.
func deniedSubscription(err error) bool {
	return errors.Is(err, nats.ErrMaxSubscriptionsExceeded) ||
		errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), subscriptionTo)
}

// subscriptionTo comes before the subject in what NATS says of a denied subscription.
const subscriptionTo = "Subscription to "

// deafens reports whether NATS does not let this node hear what all nodes have to.
func (b *NATS) deafens(err error) bool {
	return errors.Is(err, nats.ErrPermissionViolation) && slices.ContainsFunc(b.subjects(), func(subject string) bool {
		return strings.Contains(err.Error(), subscriptionTo+strconv.Quote(subject))
	})
}

// serverAddr is where the server is that the node is linked to.
func (b *NATS) serverAddr() string {
	if b.server.Load() != nil {
		return EmbeddedNATS
	}
	return b.conn.ConnectedAddr()
}

// access is how NATS lets this node in.
func (b *NATS) access(c *Config) (options []nats.Option) {
	if b.server.Load() != nil { // what certificates there are are the routes'
		return []nats.Option{nats.InProcessServer(inProcess{b}), nats.Token(b.token)}
	}
	if c.CredentialsFile != "" {
		options = append(options, nats.UserCredentials(c.CredentialsFile))
	}
	if c.CAFile != "" {
		options = append(options, nats.RootCAs(c.CAFile))
	}
	if c.CertFile != "" {
		options = append(options, nats.ClientCert(c.CertFile, c.KeyFile))
	}
	return options
}

// fatal reports whether trying again will not help: the server refuses this node,
// or they do not trust each other.
func fatal(err error) bool {
	for _, target := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
		nats.ErrNkeysNotSupported, nats.ErrSecureConnRequired, nats.ErrSecureConnWanted,
		fs.ErrNotExist, fs.ErrPermission,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	var verify *tls.CertificateVerificationError
	var alert tls.AlertError
	var header tls.RecordHeaderError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	return errors.As(err, &verify) || errors.As(err, &alert) || errors.As(err, &header) ||
		errors.As(err, &unknown) || errors.As(err, &host)
}

// relinked notes that there is another link. A node that did not hear others first sees
// whether NATS lets it now: else it would be there for others, and gone, with each try.
// If NATS has denied one of the subscriptions that it had, which may be that of a subject
// that all nodes hear, the link is to be made anew without it.
func (b *NATS) relinked(c *nats.Conn) {
	flushed := c.FlushTimeout(b.times.dial)
	switch err := c.LastError(); {
	case errors.Is(err, nats.ErrMaxSubscriptionsExceeded):
		b.out.deafened(nil)
	case b.out.deaf() && (flushed != nil || b.deafens(err)):
	default:
		b.linkedNow(true)
	}
}

// linkedNow notes that the link came up or broke. It is up for the outbox once
// the reader has seen it, down at once.
func (b *NATS) linkedNow(linked bool) {
	b.out.connected(linked)
	select {
	case b.linkC <- struct{}{}:
	default:
	}
}

// linkChanged begins a new epoch when the link has come up. Reader only.
func (b *NATS) linkChanged() {
	begun := b.out.begin(b.newBeat())
	if b.out.linked() {
		b.socket.anew.Store(false)
	}
	if !begun {
		return
	}
	b.rounds.severed()
	b.stats.links.Add(1)
	b.out.hello(subjectHello)
	b.log.Info("link to NATS is up", "server", b.serverAddr())
	if size := b.conn.MaxPayload(); size < b.maxPayload {
		b.log.Error("NATS takes too small messages only: some will be lost", "max_payload", size, "needed", b.maxPayload)
	}
	if len(b.members.origins) == 0 {
		b.resynced = time.Now() // others may be there, and be heard until a beat is over
		return
	}
	b.resync()
}

// measure measures the way to the server and back. A node that hears nobody makes its
// link anew: perhaps it may hear now.
func (b *NATS) measure(ctx context.Context) {
	defer b.running.Done()
	tick := time.NewTicker(b.times.measure)
	defer tick.Stop()
	for {
		if b.out.deaf() {
			_ = b.conn.ForceReconnect() // or it is closed
		}
		if rtt, err := b.conn.RTT(); err == nil {
			b.stats.rtt.Store(int64(rtt))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
