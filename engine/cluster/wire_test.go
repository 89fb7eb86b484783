package cluster

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"
	"weak"

	"signalbox/engine/quota"
	"signalbox/protocol"
	"signalbox/protocol/frame"
)

// framed makes a publication as it crosses.
func framed(p Publication) Publication {
	p.Frame = frame.AppendFrame(nil, frame.OpText, protocol.AppendMessage(nil, p.Channel, p.From, nil, p.Data))
	return p
}

// records are one of each kind, as values and as bytes.
var records = []struct {
	name string
	text []byte
	read func(*cursor) any
	want any
}{
	{"publication", appendPublication(nil, 300, framed(Publication{App: "a", Channel: "c", From: "f", FromMetadata: []byte("{}"), Data: []byte("1")})),
		func(c *cursor) any {
			ask, p := c.publication()
			return []any{ask, p.App, p.Channel, p.From, string(p.FromMetadata), string(p.Frame)}
		},
		[]any{uint64(300), "a", "c", "f", "{}", "\x81\x34" + `{"type":"message","channel":"c","from":"f","data":1}`}},
	{"direct", appendDirect(nil, 1, flagOnce, Direct{App: "a", To: "t", From: "f", Data: []byte("1")}),
		func(c *cursor) any { ask, flags, d := c.direct(); return []any{ask, flags, d} },
		[]any{uint64(1), byte(flagOnce), Direct{App: "a", To: "t", From: "f", Data: []byte("1")}}},
	{"share", mustShare(Share{App: "a", Channel: "c", Version: 7, Members: []Member{{"p", "{}"}, {"q", ""}}}),
		func(c *cursor) any { flags, s := c.share(); return []any{flags, s} },
		[]any{byte(0), Share{App: "a", Channel: "c", Version: 7, Members: []Member{{"p", "{}"}, {"q", ""}}}}},
	{"step", appendStep(nil, Step{App: "a", Channel: "c", Version: 8, Member: Member{"p", "{}"}}),
		func(c *cursor) any { return c.step() }, Step{App: "a", Channel: "c", Version: 8, Member: Member{"p", "{}"}}},
	{"step that leaves", appendStep(nil, Step{App: "a", Channel: "c", Version: 9, Leaves: true, Member: Member{Peer: "p"}}),
		func(c *cursor) any { return c.step() }, Step{App: "a", Channel: "c", Version: 9, Leaves: true, Member: Member{Peer: "p"}}},
	{"exit", appendExit(nil, "a", "c"), func(c *cursor) any { return []string{c.text(), c.text()} }, []string{"a", "c"}},
	{"mark", appendMark(nil, 5), func(c *cursor) any { return c.number() }, uint64(5)},
	{"fence", appendFence(nil, 6), func(c *cursor) any { return c.number() }, uint64(6)},
	{"done", appendDone(nil, math.MaxUint64), func(c *cursor) any { return c.number() }, uint64(math.MaxUint64)},
	{"kick", appendKick(nil, 2, "a", "p"),
		func(c *cursor) any { ask, a, p := c.kick(); return []any{ask, a, p} }, []any{uint64(2), "a", "p"}},
	{"peers", appendPeers(nil, 3, "a", "c"),
		func(c *cursor) any { ask, a, p := c.peers(); return []any{ask, a, p} }, []any{uint64(3), "a", "c"}},
	{"channels", appendChannels(nil, 4, page{"a", "p", "x", 100}),
		func(c *cursor) any { ask, p := c.channels(); return []any{ask, p} }, []any{uint64(4), page{"a", "p", "x", 100}}},
	{"count", appendCount(nil, 5, 12),
		func(c *cursor) any { ask, n := c.socketCount(); return []any{ask, n} }, []any{uint64(5), 12}},
	{"members", appendAnswer(nil, 6, []Member{{"p", ""}}),
		func(c *cursor) any { return []any{c.number(), c.members()} }, []any{uint64(6), []Member{{"p", ""}}}},
	{"occupied", appendOccupied(nil, 7, []Occupied{{"c", 3}}),
		func(c *cursor) any { return []any{c.number(), c.occupied()} }, []any{uint64(7), []Occupied{{"c", 3}}}},
	{"usage", appendUsage(nil, nil, []quota.Sockets{{App: "a", Open: 4}}),
		func(c *cursor) any { shares, open := c.usage(); return []any{len(shares), open} }, []any{0, []quota.Sockets{{App: "a", Open: 4}}}},
	{"question for usage", appendUsageAsk(nil, true), func(c *cursor) any { return c.byte() }, byte(1)},
	{"beat", appendBeat(nil, beat{"n", 1, 2, 3}), func(c *cursor) any { return c.beat() }, beat{"n", 1, 2, 3}},
}

// TestRostersKeepNoPayload: what is told of a peer stays as long as the peer, and what it
// has come with does not.
func TestRostersKeepNoPayload(t *testing.T) {
	for _, m := range []Member{{"bob", ""}, {"bob", "{}"}} {
		text := append(appendMember(nil, m), make([]byte, 1000)...)
		whole := weak.Make(&text[0])
		got := (&cursor{rest: text}).member()
		text = nil
		runtime.GC()
		if whole.Value() != nil {
			t.Errorf("%+v holds on to all that it has come with", m)
		}
		if got != m {
			t.Errorf("got %+v, want %+v", got, m)
		}
	}
}

func TestRecordsComeBack(t *testing.T) {
	for _, tt := range records {
		t.Run(tt.name, func(t *testing.T) {
			c := cursor{rest: tt.text[1:]}
			if got := tt.read(&c); !reflect.DeepEqual(got, tt.want) || c.bad || len(c.rest) > 0 {
				t.Errorf("got %#v, want %#v; %d bytes left", got, tt.want, len(c.rest))
			}
			if !legible(cursor{rest: tt.text}) {
				t.Error("a node that begins with it would be no node")
			}
			for cut := 1; cut < len(tt.text); cut++ {
				c := cursor{rest: tt.text[1:cut]}
				if tt.read(&c); !c.bad || legible(cursor{rest: tt.text[:cut]}) {
					t.Errorf("cut to %d of %d bytes it still reads", cut, len(tt.text))
				}
			}
		})
	}
}

// TestGolden pins the format: where this changes, format must.
func TestGolden(t *testing.T) {
	const want = "01" + "0123456789abcdef" + "ac02" + // format, node, number 300
		"04" + "0161" + "0163" + "08" + "00" + "0170" + "027b7d" + // step
		"06" + "05" // mark
	text := appendStep(nil, Step{App: "a", Channel: "c", Version: 8, Member: Member{"p", "{}"}})
	got := payload(0x0123456789abcdef, 300, appendMark(text, 5)...)
	if hex.EncodeToString(got) != want {
		t.Errorf("got %x\nwant %s", got, want)
	}
	for i, kind := range []byte{
		kindPublication, kindDirect, kindShare, kindStep, kindExit, kindMark, kindKick, kindPeers, kindChannels,
		kindCount, kindMembers, kindOccupied, kindDone, kindBeat, kindBye, kindUsage, kindUsageAsk,
		kindFence,
	} {
		if int(kind) != i+1 {
			t.Errorf("kind %d is %d on the wire", i+1, kind)
		}
	}
}

func TestHeader(t *testing.T) {
	for _, seq := range []uint64{0, 1, 127, 128, 1 << 40, math.MaxUint64} {
		c := cursor{rest: payload(42, seq, kindBye)}
		id, got, err := c.header()
		if id != 42 || got != seq || err != nil || !bytes.Equal(c.rest, []byte{kindBye}) {
			t.Errorf("%d: got %v, %d, %v, rest %x", seq, id, got, err, c.rest)
		}
	}
}

// discard is a bus as far as reading goes, with a node that takes everything.
func discard() *NATS {
	b, err := newNATS(config("", "n"))
	if err != nil {
		panic(err)
	}
	return b
}

// FuzzPayload reads anything: it must neither panic nor take more memory than what
// came explains.
func FuzzPayload(f *testing.F) {
	for _, r := range records {
		f.Add(payload(7, 1, r.text...))
	}
	f.Add([]byte{format, 0, 0, 0, 0, 0, 0, 0, 7, 1, kindShare, 0, 1, 'a', 1, 'c', 1, 0xff, 0xff, 3})
	b := discard()
	f.Fuzz(func(t *testing.T, text []byte) {
		clear(b.members.origins)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = b.payload(text, b.ticked)
		runtime.ReadMemStats(&after)
		// What is nobody's business here is rounds and answers, which are small.
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(1<<20+64*len(text)); got > most {
			t.Errorf("%d bytes took %d of memory", len(text), got)
		}
		b.out.mu.Lock()
		b.out.chunks, b.out.size, b.out.asks = nil, 0, nil
		b.out.mu.Unlock()
	})
}

func TestFrameMustFit(t *testing.T) {
	k := checker{maxData: maxData}
	for _, size := range []int{1, 60, 125, 126, 127, 65535 - 60, 65534, 65535} {
		data := []byte(`"` + strings.Repeat("x", size-1))
		data[len(data)-1] = '"'
		if size == 1 {
			data = []byte("1")
		}
		p := framed(Publication{App: app, Channel: `a"b`, From: `f\g`, Data: data})
		p.Data = nil
		if err := k.publication(&p); err != nil || !bytes.Equal(p.Data, data) {
			t.Errorf("%d bytes of data: %v", size, err)
		}
		for i := range min(len(p.Frame), 50) {
			bad := p
			bad.Frame = bytes.Clone(p.Frame)
			bad.Frame[i] ^= 1
			if err := k.publication(&bad); err == nil {
				t.Errorf("%d bytes of data: another byte %d of the frame goes through", size, i)
			}
		}
	}
}

func TestPartialShares(t *testing.T) {
	part := func(channel string, version uint64, peers ...string) Share {
		s := Share{App: app, Channel: channel, Version: version}
		for _, p := range peers {
			s.Members = append(s.Members, Member{Peer: p})
		}
		return s
	}
	var p partial
	for i, tt := range []struct {
		share Share
		more  bool
		want  string
	}{
		{part("a", 1, "x"), false, "+x"},
		{part("a", 1, "x"), true, ""},
		{part("a", 1, "y"), true, ""},
		{part("a", 1, "z"), false, "+x+y+z"},
		{part("a", 2, "x"), true, ""},
		{part("b", 2, "y"), false, "+y"}, // the other has no end
		{part("a", 2, "z"), false, "+z"},
	} {
		whole, ok, err := p.add(tt.share, tt.more)
		if got := names(whole.Members); got != tt.want || ok != (tt.want != "") || err != nil {
			t.Errorf("%d: got %q, %v, %v, want %q", i, got, ok, err, tt.want)
		}
	}
	const many = 1000
	if p.add(Share{App: app, Channel: "c", Members: slices.Repeat([]Member{{Peer: "x"}}, many)}, true); p.size < many*int(unsafe.Sizeof(Member{})) {
		t.Errorf("%d members are reckoned with as %d bytes", many, p.size)
	}
	p.drop()
	big := Member{Peer: "x", Meta: strings.Repeat("x", 1<<20)}
	var err error
	for i := 0; i <= maxShare>>20 && err == nil; i++ {
		_, _, err = p.add(Share{App: app, Channel: "c", Members: []Member{big}}, true)
	}
	if err != errSize || p.open {
		t.Errorf("an endless share: %v", err)
	}
}

// TestAnswersAreBounded has a node answer without end.
func TestAnswersAreBounded(t *testing.T) {
	b := discard()
	a := b.rounds.ask(&ask{finish: func(*ask) {}})
	members := []Member{{Peer: "p", Meta: strings.Repeat("x", maxMetadata)}} // one memory for all
	const answers = 2 * maxFound / maxMetadata
	for range answers {
		b.rounds.found(a.id, members, nil)
	}
	if got := len(a.members) * maxMetadata; got < maxFound/2 || got > maxFound {
		t.Errorf("%d bytes are kept, want up to %d", got, maxFound)
	}
}

// said returns a bus that says things which nobody passes on.
func said(t testing.TB) (b *NATS, forget func()) {
	t.Helper()
	b = discard()
	b.out.standing.up, b.out.heard = true, 1
	var taken batch
	return b, func() {
		b.out.take(&taken)
		for _, c := range taken.chunks {
			b.out.recycle(c)
		}
	}
}

func TestPublishAllocates(t *testing.T) {
	b, forget := said(t)
	p := message("tenant-17/room-123456/telemetry", "alice", strings.Repeat("x", 128))
	n := 0
	got := testing.AllocsPerRun(10_000, func() {
		if err := b.Publish(p, nil); err != nil {
			t.Fatal(err)
		}
		if n++; n%500 == 0 {
			forget()
		}
	})
	if got > 0 {
		t.Errorf("a publish allocates %v times, want 0", got)
	}
}

func TestHearingAllocates(t *testing.T) {
	b := discard()
	b.members.origins[7] = &origin{id: 7, tally: newTally(&b.out, "")}
	p := message("tenant-17/room-123456/telemetry", "alice", strings.Repeat("x", 128))
	text := payload(7, 1, appendPublication(nil, 0, p)...)
	got := testing.AllocsPerRun(10_000, func() {
		b.members.origins[7].seq = 0
		if err := b.payload(text, b.ticked); err != nil {
			t.Fatal(err)
		}
	})
	if b.Stats().Refused["frame"]+b.Stats().Refused["json"] > 0 {
		t.Fatal("it is refused")
	}
	if got > 0 {
		t.Errorf("a publication heard allocates %v times, want 0", got)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, size := range []int{128, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			bus, forget := said(b)
			p := message("tenant-17/room-123456/telemetry", "alice", strings.Repeat("x", size))
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := bus.Publish(p, nil); err != nil {
					b.Fatal(err)
				}
				if n++; n == 500 {
					n = 0
					forget()
				}
			}
		})
	}
}

// BenchmarkHear is what one message to a channel costs the reader, but for NATS
// and the node.
func BenchmarkHear(b *testing.B) {
	for _, size := range []int{128, 1024, 16384} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			bus := discard()
			o := &origin{id: 7, tally: newTally(&bus.out, "")}
			bus.members.origins[7] = o
			p := message("tenant-17/room-123456/telemetry", "alice", strings.Repeat("x", size))
			text := payload(7, 1, appendPublication(nil, 0, p)...)
			b.ReportAllocs()
			for b.Loop() {
				o.seq = 0
				if err := bus.payload(text, bus.ticked); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEnter is what a channel's first subscriber costs a loop, while the
// writer is behind by so many others.
func BenchmarkEnter(b *testing.B) {
	for _, behind := range []int{1, 1000} {
		b.Run(fmt.Sprint(behind), func(b *testing.B) {
			bus, forget := said(b)
			subjects := make([]string, behind)
			for i := range subjects {
				subjects[i] = fmt.Sprintf("room-%06d", i)
			}
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				bus.EnterChannel(Share{App: app, Channel: subjects[n], Version: 1, Members: []Member{{Peer: "alice"}}}, nil)
				if n++; n == behind {
					n = 0
					forget()
					clear(bus.out.interests)
				}
			}
		})
	}
}
