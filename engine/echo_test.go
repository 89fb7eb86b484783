package engine_test

import (
	"context"
	"encoding/binary"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"signalbox/engine"
)

// echoLimit lets the largest message of the suite through.
const echoLimit = 16 << 20

// startEcho runs an echo server for the duration of the test and returns its
// address once it listens.
func startEcho(t *testing.T, limit int) string {
	t.Helper()
	server, err := engine.NewEcho(engine.EchoConfig{
		Listen: "127.0.0.1:0", MaxMessageSize: limit, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	endedC := make(chan error, 1)
	go func() { endedC <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-endedC:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(echoWait):
			t.Error("Run does not return")
		}
	})
	select {
	case <-server.Ready():
	case <-time.After(echoWait):
		t.Fatal("the server does not listen")
	}
	return server.Addr().String()
}

// echoCase is one case of the Autobahn fuzzing client, by its number there.
type echoCase struct {
	name string
	run  func(*echoClient)
}

// TestEchoAutobahn is the Autobahn fuzzing client's families 1–7, 9 and 10:
// what each case sends and the strict outcome of each.
// Where that suite waits a second to see that nothing comes, here the next
// expected frame must come first.
func TestEchoAutobahn(t *testing.T) {
	cases := slices.Concat(framingCases(), pingCases(), reservedBitCases(), opcodeCases(),
		fragmentationCases(), utf8Cases(), closeCases(), sizeCases(), roundTripCases())
	if len(cases) != 301 {
		t.Errorf("%d cases, want 301", len(cases))
	}
	addr := startEcho(t, echoLimit)
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			c := dialEcho(t, addr)
			tt.run(c)
		})
	}
}

// TestEchoTooBig: a message over the limit is refused with 1009 when it is
// announced, before it is sent.
func TestEchoTooBig(t *testing.T) {
	const limit = 1 << 16
	// The server may grant a message more than its data: 1 KiB of envelope.
	const over = limit + 1<<10 + 1
	addr := startEcho(t, limit)

	announce := func(first byte, n uint64) []byte {
		head := binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, n)
		return append(head, 1, 2, 3, 4)
	}
	half := strings.Repeat("x", over/2)
	tests := []struct {
		name string
		send []byte
	}{
		{"text", announce(0x81, over)},
		{"binary", announce(0x82, over)},
		{"giant", announce(0x82, 1<<62)},
		{"giant first fragment", announce(0x02, 1<<62)},
		{"last fragment", announce(0x80, over)},
		{"sum of fragments", middleOf(half + "x").append(nil)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialEcho(t, addr)
			c.write(textOf(half).append(nil))
			c.expect(textOf(half))
			if op := tt.send[0] & 0x0f; op == byte(ws.OpContinuation) {
				c.write(beginOf(half).append(nil))
			}
			c.write(tt.send)
			c.expectClose(1009)
		})
	}
}
