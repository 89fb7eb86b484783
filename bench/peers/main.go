package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	// listenAddr is a free port of loopback.
	listenAddr = "127.0.0.1:0"
	// maxMessage is the largest message passed on, in bytes.
	maxMessage = 64 << 10
)

// hub serves until ctx is done. It calls ready once it listens.
type hub func(ctx context.Context, ready func(net.Addr)) error

var hubs = map[string]hub{
	"centrifuge": serveCentrifuge,
	"coder":      serveCoder,
	"floor":      serveFloor,
	"gnet":       serveGnet,
	"gws":        serveGws,
	"nbio":       serveNbio,
}

type cli struct {
	Hub string `arg:"" enum:"centrifuge,coder,floor,gnet,gws,nbio" help:"The hub to serve: centrifuge, coder, floor, gnet, gws or nbio."`
}

// Run serves the hub until the process is told to end.
func (c *cli) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return hubs[c.Hub](ctx, announce)
}

// announce prints the line that tells where the hub listens.
func announce(addr net.Addr) {
	// Nobody is left to tell when standard output is gone.
	_ = json.NewEncoder(os.Stdout).Encode(struct {
		Addr string `json:"addr"`
		PID  int    `json:"pid"`
	}{addr.String(), os.Getpid()})
}

func main() {
	c := &cli{}
	ctx := kong.Parse(c, kong.Name("peers"), kong.Description("Serve a WebSocket fan-out hub to compare with."))
	ctx.FatalIfErrorf(ctx.Run())
}
