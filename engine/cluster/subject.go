package cluster

import (
	"strconv"
	"strings"

	"signalbox/protocol"
)

// Subjects of NATS. Below the first token, names of apps, channels and peers are
// escaped, so that none of them can be or hold a separator or a wildcard.
const (
	subjectAll   = "signalbox.all"   // to every node
	subjectHello = "signalbox.hello" // to every node of every format

	prefixChannel = "signalbox.c."     // app, segments of the channel's name
	prefixPeer    = "signalbox.d."     // app, peer
	prefixNode    = "signalbox.n."     // node: to that one
	prefixReply   = "signalbox.r."     // node, ask: only NATS itself writes there
	prefixWelcome = "signalbox.hello." // node: answers to its hello
)

// maxToken is how much longer a name can become by escaping.
const maxToken = 3

// appendChannelSubject appends the subject of a channel's messages: a token for
// each part of its name between slashes.
func appendChannelSubject(dst []byte, app, channel string) []byte {
	dst = append(dst, prefixChannel...)
	dst = appendToken(dst, app)
	for {
		dst = append(dst, '.')
		end := strings.IndexByte(channel, '/')
		if end < 0 {
			return appendToken(dst, channel)
		}
		dst = appendToken(dst, channel[:end])
		channel = channel[end+1:]
	}
}

// appendPatternSubject appends a subject that takes in those of all channels the
// pattern matches, and possibly more: NATS' wildcards are whole tokens.
func appendPatternSubject(dst []byte, app, pattern string) []byte {
	if !protocol.IsGlob(pattern) {
		return appendChannelSubject(dst, app, pattern)
	}
	dst = append(dst, prefixChannel...)
	dst = appendToken(dst, app)
	for {
		segment, rest, more := strings.Cut(pattern, "/")
		dst = append(dst, '.')
		text, stars := literalSegment(segment)
		switch {
		case stars > 1:
			return append(dst, '>')
		case stars == 1:
			dst = append(dst, '*')
		default:
			dst = appendToken(dst, text)
		}
		if !more {
			return dst
		}
		pattern = rest
	}
}

// literalSegment resolves the escapes of a part of a pattern and returns the
// length of its longest run of wildcard stars; with one, the text means nothing.
func literalSegment(segment string) (text string, stars int) {
	var b strings.Builder
	run := 0
	for i := 0; i < len(segment); i++ {
		c := segment[i]
		if c == '*' {
			run++
			stars = max(stars, run)
			continue
		}
		run = 0
		if c == '\\' && i+1 < len(segment) && (segment[i+1] == '*' || segment[i+1] == '\\') {
			i++
			c = segment[i]
		}
		b.WriteByte(c)
	}
	return b.String(), stars
}

// appendPeerSubject appends the subject of directs to a peer.
func appendPeerSubject(dst []byte, app, peer string) []byte {
	dst = append(dst, prefixPeer...)
	dst = appendToken(dst, app)
	dst = append(dst, '.')
	return appendToken(dst, peer)
}

// appendToken appends s with all but letters, digits, '_' and '-' escaped as two
// hexadecimal digits behind a '='. The empty text is a lone '='.
func appendToken(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '=')
	}
	const hex = "0123456789ABCDEF"
	plain := 0 // s[plain:i] is still to be copied
	for i := range len(s) {
		c := s[i]
		if isPlain[c] {
			continue
		}
		dst = append(dst, s[plain:i]...)
		dst = append(dst, '=', hex[c>>4], hex[c&15])
		plain = i + 1
	}
	return append(dst, s[plain:]...)
}

// isPlain are the bytes that stand in a token as they are.
var isPlain = func() (plain [256]bool) {
	for _, c := range []byte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") {
		plain[c] = true
	}
	return plain
}()

// appendNodeSubject appends the subject of what only one node is told.
func appendNodeSubject(dst []byte, n NodeID) []byte {
	return append(append(dst, prefixNode...), strconv.FormatUint(uint64(n), 16)...)
}
