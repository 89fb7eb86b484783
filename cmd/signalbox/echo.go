package main

import "signalbox/engine"

// echoCmd answers every text and binary message with itself: the reactor and
// the frame code without credentials, rates or channels in the way.
type echoCmd struct {
	Listen         string `group:"listen" placeholder:"ADDR" default:"127.0.0.1:9001" help:"Address to listen on (default: ${default})."`
	MaxMessageSize int    `group:"limits" placeholder:"BYTES" default:"${echoMaxMessageSize}" help:"Cap on a frame and on a reassembled message, in bytes (default: ${default})."`
	Loops          int    `group:"tuning" placeholder:"N" help:"Event loops; 0: one a core."`

	loggingFlags `embed:""`
}

// echoMaxMessageSize is the largest message of the Autobahn suite.
const echoMaxMessageSize = 16 << 20

// Validate is called by kong once the flags are parsed.
func (c *echoCmd) Validate() error {
	if err := atLeast("max-message-size", c.MaxMessageSize, 1); err != nil {
		return err
	}
	return atLeast("loops", c.Loops, 0)
}

// Run echoes until a signal ends it.
func (c *echoCmd) Run(std *stdio) error {
	logger, err := c.logger(std.err)
	if err != nil {
		return err
	}
	life := newLifecycle(std.abort)

	server, err := engine.NewEcho(engine.EchoConfig{
		Listen:         c.Listen,
		MaxMessageSize: c.MaxMessageSize,
		Loops:          c.Loops,
		Logger:         logger,
	})
	if err != nil {
		return err
	}
	return server.Run(life.ctx)
}
