package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/alecthomas/kong"

	"signalbox/engine"
)

// limitFlags are the limits a client meets. Their defaults are those of
// [engine.DefaultConfig], filled in by [defaults].
type limitFlags struct {
	MaxMessageSize   int           `group:"limits" placeholder:"BYTES" default:"${maxMessageSize}" help:"Cap on the data of one message, in bytes (default: ${default})."`
	MaxSubscriptions int           `group:"limits" placeholder:"N" default:"${maxSubscriptions}" help:"Subscriptions a connection may hold (default: ${default})."`
	MessageRate      int           `group:"limits" placeholder:"N" default:"${messageRate}" help:"Frames a second that a connection may send, sustained; 0: any number (default: ${default})."`
	MessageBurst     int           `group:"limits" placeholder:"N" default:"${messageBurst}" help:"Frames a connection may send at once (default: ${default})."`
	ConnectRate      int           `group:"limits" placeholder:"N" default:"${connectRate}" help:"Connects a minute from one source address; 0: any number (default: ${default})."`
	PingInterval     time.Duration `group:"limits" placeholder:"D" default:"${pingInterval}" help:"Time between WebSocket pings; a client silent for two is closed (default: ${default})."`
	HandshakeTimeout time.Duration `group:"limits" placeholder:"D" default:"${handshakeTimeout}" help:"Time a handshake may take (default: ${default})."`
	MaxBacklog       int           `group:"limits" placeholder:"BYTES" default:"${maxBacklog}" help:"Bytes queued for a slow reader before it is closed (default: ${default})."`
	MaxBacklogTotal  memorySize    `group:"limits" placeholder:"BYTES" default:"25%" help:"What may be queued for all slow readers; beyond it those with the most are closed: bytes, a number with KiB, MiB or GiB, a percentage of the memory limit in force, or 0 for no limit (default: ${default})."`
}

// presenceFlags time the presence frames.
type presenceFlags struct {
	PresenceWindow time.Duration `group:"tuning" placeholder:"D" default:"${presenceWindow}" help:"Time over which joins and leaves of a channel are gathered in one frame (default: ${default})."`
	SnapshotDelay  time.Duration `group:"tuning" placeholder:"D" default:"${snapshotDelay}" help:"Time between the ack of a subscribe and its presence snapshot (default: ${default})."`
}

// defaults are the engine's defaults, by the names that the flags use.
func defaults() kong.Vars {
	config := engine.DefaultConfig()
	l := config.Limits
	return kong.Vars{
		"echoMaxMessageSize": strconv.Itoa(echoMaxMessageSize),
		"drainTimeout":       config.DrainTimeout.String(),
		"hookSpool":          strconv.FormatInt(config.HookSpool, 10),
		"maxMessageSize":     strconv.Itoa(l.MaxMessageSize),
		"maxSubscriptions":   strconv.Itoa(l.MaxSubscriptions),
		"messageRate":        strconv.Itoa(l.MessageRate),
		"messageBurst":       strconv.Itoa(l.MessageBurst),
		"connectRate":        strconv.Itoa(l.ConnectRate),
		"pingInterval":       l.PingInterval.String(),
		"handshakeTimeout":   l.HandshakeTimeout.String(),
		"maxBacklog":         strconv.Itoa(l.MaxBacklog),
		"presenceWindow":     l.PresenceWindow.String(),
		"snapshotDelay":      l.SnapshotDelay.String(),
	}
}

// limits joins both flag groups into the engine's form.
func (f *limitFlags) limits(p presenceFlags) engine.Limits {
	return engine.Limits{
		MaxMessageSize:   f.MaxMessageSize,
		MaxSubscriptions: f.MaxSubscriptions,
		MessageRate:      f.MessageRate,
		MessageBurst:     f.MessageBurst,
		ConnectRate:      f.ConnectRate,
		PingInterval:     f.PingInterval,
		HandshakeTimeout: f.HandshakeTimeout,
		MaxBacklog:       f.MaxBacklog,
		PresenceWindow:   p.PresenceWindow,
		SnapshotDelay:    p.SnapshotDelay,
	}
}

// atLeast reports a flag whose value is under its least useful one.
func atLeast[T int | int64 | time.Duration](flag string, value, least T) error {
	if value < least {
		return fmt.Errorf("--%s must be at least %v, got %v", flag, least, value)
	}
	return nil
}

// Validate is called by kong once the flags are parsed.
func (f *limitFlags) Validate() error {
	for _, err := range []error{
		atLeast("max-message-size", f.MaxMessageSize, 1),
		atLeast("max-subscriptions", f.MaxSubscriptions, 1),
		atLeast("message-rate", f.MessageRate, 0),
		atLeast("message-burst", f.MessageBurst, 1),
		atLeast("connect-rate", f.ConnectRate, 0),
		atLeast("ping-interval", f.PingInterval, time.Millisecond),
		atLeast("handshake-timeout", f.HandshakeTimeout, time.Millisecond),
		atLeast("max-backlog", f.MaxBacklog, 1),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// Validate is called by kong once the flags are parsed.
func (f *presenceFlags) Validate() error {
	if err := atLeast("presence-window", f.PresenceWindow, 0); err != nil {
		return err
	}
	return atLeast("snapshot-delay", f.SnapshotDelay, 0)
}
