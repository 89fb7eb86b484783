package engine_test

import (
	"fmt"
	"strings"

	"github.com/gobwas/ws"
)

// delivery says how the bytes of a case's frames are cut into writes.
type delivery int

const (
	together delivery = iota // All frames in one write.
	framed                   // A write a frame.
	bytewise                 // A write a byte.
)

// send writes the frames.
func (c *echoClient) send(how delivery, frames ...echoFrame) {
	var all []byte
	for _, f := range frames {
		if how == framed {
			c.write(f.append(nil))
			continue
		}
		all = f.append(all)
	}
	switch how {
	case together:
		c.write(all)
	case bytewise:
		c.chop(all, 1)
	}
}

// exchange is the script of most cases: frames go out, want comes back, and
// nothing else before the end. With refusal 0 the client leaves in peace, else
// the server fails the connection with that code.
type exchange struct {
	name    string
	how     delivery
	frames  []echoFrame
	want    []echoFrame
	refusal uint16
}

func (e exchange) run(c *echoClient) {
	c.t.Helper()
	c.send(e.how, e.frames...)
	c.expect(e.want...)
	if e.refusal != 0 {
		c.expectClose(e.refusal)
		return
	}
	c.leave()
}

// casesOf turns scripts into cases.
func casesOf(list []exchange) []echoCase {
	var cases []echoCase
	for _, e := range list {
		cases = append(cases, echoCase{e.name, e.run})
	}
	return cases
}

// framesOf names a slice of frames in the tables below.
func framesOf(frames ...echoFrame) []echoFrame { return frames }

// framingCases: whole messages around the sizes where the header changes.
func framingCases() []echoCase {
	var cases []echoCase
	sizes := []int{0, 125, 126, 127, 128, 65535, 65536, 65536}
	for kind, of := range []func(string) echoFrame{textOf, binaryOf} {
		filler := []string{"*", "\xfe"}[kind]
		for i, size := range sizes {
			f := of(strings.Repeat(filler, size))
			chop := size + 14
			if i == len(sizes)-1 {
				chop = 997
			}
			cases = append(cases, echoCase{fmt.Sprintf("1.%d.%d", kind+1, i+1), func(c *echoClient) {
				c.chop(f.append(nil), chop)
				c.expect(f)
				c.leave()
			}})
		}
	}
	return cases
}

func pingCases() []echoCase {
	const hello, raw = "Hello, world!", "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	longest := strings.Repeat("\xfe", 125)
	var pings, pongs []echoFrame
	for i := range 10 {
		pings = append(pings, pingOf(fmt.Sprintf("payload-%d", i)))
		pongs = append(pongs, pongOf(fmt.Sprintf("payload-%d", i)))
	}
	return casesOf([]exchange{
		{"2.1", together, framesOf(pingOf("")), framesOf(pongOf("")), 0},
		{"2.2", together, framesOf(pingOf(hello)), framesOf(pongOf(hello)), 0},
		{"2.3", together, framesOf(pingOf(raw)), framesOf(pongOf(raw)), 0},
		{"2.4", together, framesOf(pingOf(longest)), framesOf(pongOf(longest)), 0},
		{"2.5", together, framesOf(pingOf(longest + "\xfe")), nil, 1002},
		{"2.6", bytewise, framesOf(pingOf(longest)), framesOf(pongOf(longest)), 0},
		{"2.7", together, framesOf(pongOf("")), nil, 0},
		{"2.8", together, framesOf(pongOf("unsolicited pong payload")), nil, 0},
		{"2.9", together, framesOf(pongOf("unsolicited pong payload"), pingOf("ping payload")), framesOf(pongOf("ping payload")), 0},
		{"2.10", framed, pings, pongs, 0},
		{"2.11", bytewise, pings, pongs, 0},
	})
}

func reservedBitCases() []echoCase {
	const hello, raw = "Hello, world!", "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"
	with := func(rsv byte, f echoFrame) echoFrame {
		f.rsv = rsv
		return f
	}
	echoed := framesOf(textOf(hello))
	return casesOf([]exchange{
		{"3.1", together, framesOf(with(1, textOf(hello))), nil, 1002},
		{"3.2", together, framesOf(textOf(hello), with(2, textOf(hello)), pingOf("")), echoed, 1002},
		{"3.3", framed, framesOf(textOf(hello), with(3, textOf(hello)), pingOf("")), echoed, 1002},
		{"3.4", bytewise, framesOf(textOf(hello), with(4, textOf(hello)), pingOf("")), echoed, 1002},
		{"3.5", together, framesOf(with(5, binaryOf(raw))), nil, 1002},
		{"3.6", together, framesOf(with(6, pingOf(hello))), nil, 1002},
		{"3.7", together, framesOf(with(7, closeOf(1000, ""))), nil, 1002},
	})
}

func opcodeCases() []echoCase {
	const hello = "Hello, world!"
	var scripts []exchange
	for family, first := range []ws.OpCode{3, 11} {
		number := func(i int) string { return fmt.Sprintf("4.%d.%d", family+1, i) }
		reserved := func(i ws.OpCode, payload string) echoFrame { return echoFrame{op: first + i, payload: payload} }
		echoed := framesOf(textOf(hello))
		scripts = append(scripts,
			exchange{number(1), together, framesOf(reserved(0, "")), nil, 1002},
			exchange{number(2), together, framesOf(reserved(1, "reserved opcode payload")), nil, 1002},
			exchange{number(3), together, framesOf(textOf(hello), reserved(2, ""), pingOf("")), echoed, 1002},
			exchange{number(4), together, framesOf(textOf(hello), reserved(3, hello), pingOf("")), echoed, 1002},
			exchange{number(5), bytewise, framesOf(textOf(hello), reserved(4, hello), pingOf("")), echoed, 1002},
		)
	}
	return casesOf(scripts)
}

func fragmentationCases() []echoCase {
	const hello, stray = "Hello, world!", "non-continuation payload"
	halves := framesOf(beginOf("fragment1"), finalOf("fragment2"))
	joined := textOf("fragment1fragment2")
	split := func(f echoFrame) []echoFrame {
		f.more, f.payload = true, "fragment1"
		return framesOf(f, finalOf("fragment2"))
	}
	pinged := framesOf(beginOf("fragment1"), pingOf("ping payload"), finalOf("fragment2"))
	answered := framesOf(pongOf("ping payload"), joined)
	restart := func(nothing echoFrame) []echoFrame {
		round := framesOf(nothing, beginOf("fragment2"), finalOf("fragment3"))
		return append(round, round...)
	}
	cases := casesOf([]exchange{
		{"5.1", together, split(pingOf("")), nil, 1002},
		{"5.2", together, split(pongOf("")), nil, 1002},
		{"5.3", together, halves, framesOf(joined), 0},
		{"5.4", framed, halves, framesOf(joined), 0},
		{"5.5", bytewise, halves, framesOf(joined), 0},
		{"5.6", together, pinged, answered, 0},
		{"5.7", framed, pinged, answered, 0},
		{"5.8", bytewise, pinged, answered, 0},
		{"5.9", together, framesOf(finalOf(stray), textOf(hello)), nil, 1002},
		{"5.10", framed, framesOf(finalOf(stray), textOf(hello)), nil, 1002},
		{"5.11", bytewise, framesOf(finalOf(stray), textOf(hello)), nil, 1002},
		{"5.12", together, framesOf(middleOf(stray), textOf(hello)), nil, 1002},
		{"5.13", framed, framesOf(middleOf(stray), textOf(hello)), nil, 1002},
		{"5.14", bytewise, framesOf(middleOf(stray), textOf(hello)), nil, 1002},
		{"5.15", together, append(halves, middleOf("fragment3"), textOf("fragment4")), framesOf(joined), 1002},
		{"5.16", framed, restart(middleOf("fragment1")), nil, 1002},
		{"5.17", framed, restart(finalOf("fragment1")), nil, 1002},
		{"5.18", together, framesOf(beginOf("fragment1"), textOf("fragment2")), nil, 1002},
	})
	return append(cases,
		echoCase{"5.19", func(c *echoClient) { pingedTwice(c, together) }},
		echoCase{"5.20", func(c *echoClient) { pingedTwice(c, framed) }})
}

// pingedTwice: five fragments and two pings; the first pong must come while the
// message is half there.
func pingedTwice(c *echoClient, how delivery) {
	c.t.Helper()
	c.send(how, beginOf("fragment1"), middleOf("fragment2"), pingOf("pongme 1!"))
	c.expect(pongOf("pongme 1!"))
	c.send(how, middleOf("fragment3"), middleOf("fragment4"), pingOf("pongme 2!"), finalOf("fragment5"))
	c.expect(pongOf("pongme 2!"), textOf("fragment1fragment2fragment3fragment4fragment5"))
	c.leave()
}
