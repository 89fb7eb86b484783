package engine_test

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

const (
	greeting = "Hello-µ@ßöäüàá-UTF-8!!"
	kosme    = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5" // κόσμε

	// Invalid at the second byte: a surrogate, a code point over U+10FFFF.
	surrogate = "\xed\xa0\x80"
	overRange = "\xf4\x90\x80\x80"
	edited    = "edited"
)

// utf8Cases is family 6: how text is cut, then what it holds.
func utf8Cases() []echoCase {
	cases := casesOf([]exchange{
		{"6.1.1", together, framesOf(textOf("")), framesOf(textOf("")), 0},
		{"6.1.2", together, framesOf(beginOf(""), middleOf(""), finalOf("")), framesOf(textOf("")), 0},
		{"6.1.3", together, framesOf(beginOf(""), middleOf("middle frame payload"), finalOf("")), framesOf(textOf("middle frame payload")), 0},
		{"6.2.1", together, framesOf(textOf(greeting)), framesOf(textOf(greeting)), 0},
		{"6.2.2", framed, framesOf(beginOf("Hello-µ@ßöä"), finalOf("üàá-UTF-8!!")), framesOf(textOf(greeting)), 0},
		{"6.3.1", together, framesOf(textOf(kosme + surrogate + edited)), nil, 1007},
	})
	cases = append(cases,
		byteFragments("6.2.3", greeting),
		byteFragments("6.2.4", kosme),
		byteFragments("6.3.2", kosme+surrogate+edited),
		failFast("6.4.1", true, kosme, overRange),
		failFast("6.4.2", true, kosme+overRange[:1], overRange[1:2]),
		failFast("6.4.3", false, kosme, overRange),
		failFast("6.4.4", false, kosme+overRange[:1], overRange[1:2]),
	)
	return append(cases, sequenceCases()...)
}

// byteFragments sends each byte as a fragment.
func byteFragments(name, payload string) echoCase {
	return echoCase{name, func(c *echoClient) {
		c.write(fragmentsOf(ws.OpText, payload, 1))
		if utf8.ValidString(payload) {
			c.expect(textOf(payload))
			c.leave()
			return
		}
		c.expectClose(1007)
	}}
}

// failFast sends a good part, then a bad one, and keeps the rest back: the
// refusal must come without it. The parts are fragments, or pieces of one frame.
func failFast(name string, fragmented bool, good, bad string) echoCase {
	return echoCase{name, func(c *echoClient) {
		if fragmented {
			// The pong shows that the first fragment was accepted.
			c.send(together, beginOf(good), pingOf("so far"))
			c.expect(pongOf("so far"))
			c.send(together, middleOf(bad))
		} else {
			whole := textOf(good + bad + "\x80\x80" + edited).append(nil)
			head := len(whole) - len(good+bad+"\x80\x80"+edited)
			c.write(whole[:head+len(good)])
			c.write(whole[head+len(good):][:len(bad)])
		}
		c.expectClose(1007)
	}}
}

// sequenceCases is 6.5–6.23: after Markus Kuhn's UTF-8 decoder stress test.
func sequenceCases() []echoCase {
	var cases []echoCase
	for i, group := range utf8Groups() {
		for j, payload := range group.payloads {
			e := exchange{name: fmt.Sprintf("6.%d.%d", i+5, j+1), frames: framesOf(textOf(payload))}
			if group.verdicts[j] == '+' {
				e.want = framesOf(textOf(payload))
			} else {
				e.refusal = 1007
			}
			cases = append(cases, echoCase{e.name, e.run})
		}
	}
	return cases
}

// utf8Group is one subfamily. Of each payload verdicts says, at the same index,
// whether it is UTF-8 (+) or not (-).
type utf8Group struct {
	verdicts string
	payloads []string
}

// utf8Groups is 6.5 and those that follow, in order.
func utf8Groups() []utf8Group {
	cut := []string{
		"\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80", "\xfc\x80\x80\x80\x80",
		"\xdf", "\xef\xbf", "\xf7\xbf\xbf", "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf",
	}
	return []utf8Group{
		// 6.5 Some text.
		{"+++++", []string{"hello\x24world", "hello\xc2\xa2world", "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", kosme}},
		// 6.6 All prefixes of a text.
		{"-+--+-+-+-+", prefixes(kosme)},
		// 6.7, 6.8 First sequence of each length; 5 and 6 bytes are none.
		{"++++", []string{"\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"}},
		{"--", []string{"\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"}},
		// 6.9, 6.10 Last sequence of each length.
		{"++++", []string{"\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"}},
		{"---", []string{"\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf\xbf"}},
		// 6.11 Other boundaries.
		{"++++-", []string{"\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd", "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"}},
		// 6.12 Unexpected continuation bytes.
		{"--------", []string{"\x80", "\xbf", "\x80\xbf", "\x80\xbf\x80", "\x80\xbf\x80\xbf", "\x80\xbf\x80\xbf\x80",
			"\x80\xbf\x80\xbf\x80\xbf", byteRange(0x80, 0xbf, "")}},
		// 6.13 Lonely start bytes, a space behind each.
		{"-----", []string{byteRange(0xc0, 0xdf, " "), byteRange(0xe0, 0xef, " "), byteRange(0xf0, 0xf7, " "),
			byteRange(0xf8, 0xfb, " "), byteRange(0xfc, 0xfd, " ")}},
		// 6.14, 6.15 The last continuation byte is missing; all of these in a row.
		{"----------", cut},
		{"-", []string{strings.Join(cut, "")}},
		// 6.16 Impossible bytes.
		{"---", []string{"\xfe", "\xff", "\xfe\xfe\xff\xff"}},
		// 6.17 Overlong slash, 6.18 longest overlong sequences, 6.19 overlong NUL.
		{"-----", []string{"\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"}},
		{"-----", []string{"\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"}},
		{"-----", []string{"\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"}},
		// 6.20, 6.21 UTF-16 surrogates, single and paired.
		{"-------", []string{"\xed\xa0\x80", "\xed\xad\xbf", "\xed\xae\x80", "\xed\xaf\xbf", "\xed\xb0\x80", "\xed\xbe\x80", "\xed\xbf\xbf"}},
		{"--------", []string{
			"\xed\xa0\x80\xed\xb0\x80", "\xed\xa0\x80\xed\xbf\xbf", "\xed\xad\xbf\xed\xb0\x80", "\xed\xad\xbf\xed\xbf\xbf",
			"\xed\xae\x80\xed\xb0\x80", "\xed\xae\x80\xed\xbf\xbf", "\xed\xaf\xbf\xed\xb0\x80", "\xed\xaf\xbf\xed\xbf\xbf"}},
		// 6.22 Non-characters, which are UTF-8 all the same.
		{strings.Repeat("+", 34), nonCharacters()},
		// 6.23 The specials block.
		{"+++++++", []string{"\xef\xbf\xb9", "\xef\xbf\xba", "\xef\xbf\xbb", "\xef\xbf\xbc", "\xef\xbf\xbd", "\xef\xbf\xbe", "\xef\xbf\xbf"}},
	}
}

// prefixes is each prefix of s but the empty one, shortest first.
func prefixes(s string) []string {
	var out []string
	for i := range len(s) {
		out = append(out, s[:i+1])
	}
	return out
}

// byteRange is the bytes from first to before last, each with a tail behind it.
func byteRange(first, last byte, tail string) string {
	var b strings.Builder
	for c := first; c < last; c++ {
		b.WriteByte(c)
		b.WriteString(tail)
	}
	return b.String()
}

// nonCharacters is the last two code points of each plane, U+FFFE to U+10FFFF.
func nonCharacters() []string {
	var out []string
	for plane := range rune(17) {
		out = append(out, string(plane<<16|0xfffe), string(plane<<16|0xffff))
	}
	return out
}
