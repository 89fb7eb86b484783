package engine_test

import (
	"fmt"
	"strings"

	"github.com/gobwas/ws"
)

// closeScript is a case of family 7: frames that end in a close, what is echoed
// before, and the codes that may answer it.
type closeScript struct {
	name   string
	frames []echoFrame
	want   []echoFrame
	codes  []uint16
}

func (s closeScript) run(c *echoClient) {
	c.t.Helper()
	c.send(together, s.frames...)
	c.expect(s.want...)
	c.expectClose(s.codes...)
}

// closeCases: closing in mid-stream, then the body of the close frame. What
// follows a close frame is never answered (RFC 6455 §5.5.1).
func closeCases() []echoCase {
	const hello = "Hello World!"
	normal, violation := []uint16{1000}, []uint16{1002}
	bye := closeOf(1000, "")
	body := func(payload string) []echoFrame { return framesOf(echoFrame{op: ws.OpClose, payload: payload}) }
	long := textOf(strings.Repeat("BAsd7&jh23", 256<<10/10+1)[:256<<10])
	scripts := []closeScript{
		{"7.1.1", framesOf(textOf(hello), bye), framesOf(textOf(hello)), normal},
		{"7.1.2", framesOf(bye, bye), nil, normal},
		{"7.1.3", framesOf(bye, pingOf("")), nil, normal},
		{"7.1.4", framesOf(bye, textOf(hello)), nil, normal},
		{"7.1.5", framesOf(beginOf("fragment1"), bye, finalOf("fragment2")), nil, normal},
		{"7.1.6", framesOf(long, textOf(hello), bye, pingOf("")), framesOf(long, textOf(hello)), normal},
		{"7.3.1", body(""), nil, []uint16{noStatus, 1000}},
		{"7.3.2", body("a"), nil, violation},
		{"7.3.3", framesOf(bye), nil, normal},
		{"7.3.4", framesOf(closeOf(1000, hello)), nil, normal},
		{"7.3.5", framesOf(closeOf(1000, strings.Repeat("*", 123))), nil, normal},
		{"7.3.6", framesOf(closeOf(1000, strings.Repeat("*", 124))), nil, violation},
		{"7.5.1", framesOf(closeOf(1000, kosme+surrogate+edited)), nil, []uint16{1007}},
	}
	for i, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		scripts = append(scripts, closeScript{fmt.Sprintf("7.7.%d", i+1), framesOf(closeOf(code, "")), nil, []uint16{code, 1000}})
	}
	for i, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999} {
		scripts = append(scripts, closeScript{fmt.Sprintf("7.9.%d", i+1), framesOf(closeOf(code, "")), nil, violation})
	}
	// 7.13: the RFC leaves codes from 5000 open; here they are refused.
	for i, code := range []uint16{5000, 65535} {
		scripts = append(scripts, closeScript{fmt.Sprintf("7.13.%d", i+1), framesOf(closeOf(code, "")), nil, violation})
	}
	var cases []echoCase
	for _, s := range scripts {
		cases = append(cases, echoCase{s.name, s.run})
	}
	return cases
}
