package engine_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gobwas/ws"
)

// echoFill is what the large messages hold, so that a piece out of place shows.
const echoFill = "BAsd7&jh23µ€𤭢abcde"

// echoPayload is size bytes of op; the text ends in whole runes.
func echoPayload(op ws.OpCode, size int) string {
	pad := size % len(echoFill)
	s := strings.Repeat(echoFill, size/len(echoFill)) + strings.Repeat("*", pad)
	if op == ws.OpBinary {
		s = strings.ReplaceAll(s, "*", "\xfe")
	}
	return s
}

// echoLarge sends one message of size bytes in fragments and writes of the given
// sizes, 0 for one of each, and expects it back.
func echoLarge(c *echoClient, op ws.OpCode, size, fragment, chop int) {
	c.t.Helper()
	payload := echoPayload(op, size)
	if fragment == 0 {
		fragment = size
	}
	stream := fragmentsOf(op, payload, fragment)
	if chop == 0 {
		chop = len(stream)
	}
	c.chop(stream, chop)
	got := c.read()
	if got.op != op || got.payload != payload {
		c.t.Fatalf("got %v, want the %d bytes sent", got, size)
	}
	c.leave()
}

// sizeCases is 9.1–9.6 and 10.1: size, fragment size, write size.
func sizeCases() []echoCase {
	var cases []echoCase
	add := func(family, number int, op ws.OpCode, size, fragment, chop int) {
		name := fmt.Sprintf("9.%d.%d", family, number)
		cases = append(cases, echoCase{name, func(c *echoClient) { echoLarge(c, op, size, fragment, chop) }})
	}
	for kind, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
		for i, size := range []int{64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20, 16 << 20} {
			add(1+kind, i+1, op, size, 0, 0)
		}
		for i, fragment := range []int{64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20} {
			add(3+kind, i+1, op, 4<<20, fragment, 0)
		}
		for i, chop := range []int{64, 128, 256, 512, 1 << 10, 2 << 10} {
			add(5+kind, i+1, op, 1<<20, 0, chop)
		}
	}
	return append(cases, echoCase{"10.1.1", func(c *echoClient) { echoLarge(c, ws.OpText, 64<<10, 1300, 0) }})
}

// roundTripCases is 9.7 and 9.8: a thousand messages, each awaited.
func roundTripCases() []echoCase {
	var cases []echoCase
	for kind, of := range []func(string) echoFrame{textOf, binaryOf} {
		for i, size := range []int{0, 16, 64, 256, 1024, 4096} {
			f := of(strings.Repeat([]string{"*", "\xfe"}[kind], size))
			cases = append(cases, echoCase{fmt.Sprintf("9.%d.%d", kind+7, i+1), func(c *echoClient) {
				sent := f.append(nil)
				for range 1000 {
					c.write(sent)
					c.expect(f)
				}
				c.leave()
			}})
		}
	}
	return cases
}

// TestEchoLargestMessage is the largest message in 65 536 fragments, in writes
// that tear them: more than the suite asks for.
func TestEchoLargestMessage(t *testing.T) {
	addr := startEcho(t, echoLimit)
	for _, op := range []ws.OpCode{ws.OpText, ws.OpBinary} {
		t.Run(fmt.Sprintf("opcode %d", op), func(t *testing.T) {
			echoLarge(dialEcho(t, addr), op, echoLimit, echoLimit>>16, 10007)
		})
	}
}
