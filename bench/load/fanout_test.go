package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"signalbox/bench/client"
)

func TestFanOut(t *testing.T) {
	for _, tt := range []struct {
		loops, subscribers, publishers, inFlight int
	}{
		{1, 1, 1, 1},
		{1, 10, 1, 8},
		{2, 1, 1, 1}, // one loop has no subscriber
		{2, 25, 3, 8},
		{3, 100, 8, 8},
	} {
		t.Run(fmt.Sprint(tt), func(t *testing.T) {
			ctx := testContext(t)
			fleet := newFleet(t, tt.loops)
			f, err := OpenFanOut(ctx, fleet, newFloor(t), FanOutConfig{Channel: "c", Subscribers: tt.subscribers,
				Publishers: tt.publishers, InFlight: tt.inFlight, Bytes: 128, Sources: Sources{Loopback}, Ramp: client.Ramp{Window: 8}})
			if err != nil {
				t.Fatal(err)
			}
			for round := range 3 {
				f.Start(tt.inFlight, tt.publishers)
				if err := f.Stop(ctx); err != nil {
					t.Fatal(err)
				}
				if got, least := int(f.Publishes()), (round+1)*tt.inFlight; got < least {
					t.Errorf("after round %d: got %d publishes, want at least %d", round, got, least)
				}
			}
			// Publishers are members of the hub too and hear each other.
			for range 2 { // traffic is told at the end of a turn: the second is in another one
				fleet.Each(func(*client.Loop) {})
			}
			frames, _ := fleet.Traffic()
			if least := f.Publishes() * uint64(tt.subscribers); frames < least {
				t.Errorf("got %d frames, want at least %d", frames, least)
			}
		})
	}
}

// TestDuringLastsUntilThereIsOne: a measurement that is over before a message has come
// everywhere goes on.
func TestDuringLastsUntilThereIsOne(t *testing.T) {
	ctx := testContext(t)
	fleet := newFleet(t, 1)
	f, err := OpenFanOut(ctx, fleet, newFloor(t), FanOutConfig{Channel: "c", Subscribers: 100, Publishers: 1, InFlight: 1, Ramp: client.Ramp{Window: 8}})
	if err != nil {
		t.Fatal(err)
	}
	go f.Start(1, 1)
	s, err := Meter{Fleet: fleet, Publishes: f.Publishes}.During(ctx, time.Nanosecond)
	if err != nil || s.Publishes == 0 || s.Frames == 0 {
		t.Errorf("got %d messages, %d frames, %v, want some", s.Publishes, s.Frames, err)
	}
	if err := f.Stop(ctx); err != nil {
		t.Error(err)
	}
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := (Meter{Fleet: fleet, Publishes: f.Publishes}).During(cut, time.Nanosecond); !errors.Is(err, context.Canceled) {
		t.Errorf("once the context is done: got %v, want %v", err, context.Canceled)
	}
}

func TestFanOutTellsOfLostConnections(t *testing.T) {
	ctx := testContext(t)
	fleet := newFleet(t, 1)
	f, err := OpenFanOut(ctx, fleet, newFloor(t), FanOutConfig{Channel: "c", Subscribers: 2, Publishers: 1, InFlight: 1, Ramp: client.Ramp{Window: 1}})
	if err != nil {
		t.Fatal(err)
	}
	f.ended(&client.Conn{ReadyAt: 1}, client.Cause{During: "open", Code: 4011})
	f.running.Store(1) // whose message cannot arrive any more
	if err := f.Stop(ctx); !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "close code 4011") {
		t.Errorf("got %v, want an error that tells the close code", err)
	}
}

// nobody is an address where nobody listens: its port is that of a service of old, and
// given to nobody who asks for any.
var nobody = netip.MustParseAddrPort("127.0.0.1:1")

func TestOpenTellsWhy(t *testing.T) {
	hub := newFloor(t)
	ended, cancel := context.WithCancel(testContext(t))
	cancel()
	for _, tt := range []struct {
		name string
		ctx  context.Context
		addr netip.AddrPort
		want client.Cause
	}{
		{"refused", testContext(t), nobody, client.Cause{During: "connect", Errno: unix.ECONNREFUSED}},
		// No hub sends the welcome that is waited for.
		{"out of time", ended, hub.Addr, client.Cause{Text: "not finished in time"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			script, err := hub.Dialect.Join("peer", "c")
			if err != nil {
				t.Fatal(err)
			}
			script.Welcome = true
			spec := client.Spec{Addr: tt.addr, Script: script, Handler: &streamLoop{stream: &Stream{}}}
			opened := newFleet(t, 1).Open(tt.ctx, client.Ramp{Window: 1}, []client.Spec{spec})
			if opened.Ready != 0 || opened.Failed() != 1 || opened.Err() == nil {
				t.Errorf("got %d ready, %d failed, error %v", opened.Ready, opened.Failed(), opened.Err())
			}
			if got, want := errors.Is(opened.Err(), context.Canceled), tt.ctx.Err() != nil; got != want {
				t.Errorf("got error %v, which tells the context's end: %t, want %t", opened.Err(), got, want)
			}
			for why := range opened.Causes {
				if tt.want.During == "" {
					why.During = "" // however far it has come
				}
				if why != tt.want {
					t.Errorf("got %v, want %v", why, tt.want)
				}
			}
		})
	}
}
