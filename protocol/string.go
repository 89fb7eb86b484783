package protocol

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// Constants for looking at the eight bytes of a word at once: 0x01, and the top
// bit, in each.
const (
	eachByte = 0x0101010101010101
	topBits  = 0x8080808080808080
)

// skipString is the index after the JSON string that starts at i with its
// opening quote, or -1 if it is not valid (RFC 8259 §7). It takes eight plain
// bytes at a time as long as there are eight.
func skipString(msg []byte, i int) int {
	for i++; ; {
		if i+8 <= len(msg) {
			special := specialBytes(binary.LittleEndian.Uint64(msg[i:]))
			if special == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(special) / 8
		} else {
			for i < len(msg) && isPlain(msg[i]) {
				i++
			}
		}
		switch at(msg, i) {
		case '"':
			return i + 1
		case '\\':
			n := escapeLen(msg[i:])
			if n == 0 {
				return -1
			}
			i += n
		default: // a control character, or the end
			return -1
		}
	}
}

// isPlain reports whether c stands for itself inside a JSON string: no quote, no
// backslash, no control character below 0x20.
func isPlain(c byte) bool { return c >= 0x20 && c != '"' && c != '\\' }

// specialBytes sets the top bit of each byte of w that is not plain. Only the
// lowest bit set is sure to be right: the subtractions borrow upwards.
func specialBytes(w uint64) uint64 {
	quote := w ^ eachByte*'"'
	backslash := w ^ eachByte*'\\'
	return ((w-eachByte*0x20)&^w | (quote-eachByte)&^quote | (backslash-eachByte)&^backslash) & topBits
}

// escapeLen is the length of the escape sequence that s starts with, 0 if it is
// not valid.
func escapeLen(s []byte) int {
	switch at(s, 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(s); ok {
			return 6
		}
	}
	return 0
}

// hex4 is the code unit of the \uXXXX that s starts with, and false if s starts
// with anything else.
func hex4(s []byte) (unit rune, ok bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	for _, c := range s[2:6] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// appendUnescaped appends the text of a JSON string without its quotes. s has
// passed skipString. A surrogate without its partner becomes U+FFFD, as in
// encoding/json.
func appendUnescaped(dst, s []byte) []byte {
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 {
			return append(dst, s...)
		}
		dst = append(dst, s[:n]...)
		r, size := unescape(s[n:])
		dst = utf8.AppendRune(dst, r)
		s = s[n+size:]
	}
}

// unescape is the character of the escape sequence, or of the pair of them,
// that s starts with, and how long that is.
func unescape(s []byte) (r rune, n int) {
	switch s[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, _ = hex4(s)
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		low, _ := hex4(s[6:])
		if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
			return r, 12
		}
		return r, 6
	default: // quote, backslash, slash
		return rune(s[1]), 2
	}
}

// AppendString appends s as a JSON string. What is not ASCII stays as it is,
// but each byte of invalid UTF-8 becomes U+FFFD.
func AppendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	for {
		n := 0
		for n < len(s) && isPlain(s[n]) {
			n++
		}
		dst = appendValid(dst, s[:n])
		if n == len(s) {
			return append(dst, '"')
		}
		dst = appendEscape(dst, s[n])
		s = s[n+1:]
	}
}

// appendValid appends s with U+FFFD for each byte of invalid UTF-8.
func appendValid[T ~string | ~[]byte](dst []byte, s T) []byte {
	if utf8.Valid([]byte(s)) {
		return append(dst, s...)
	}
	for _, r := range string(s) {
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// appendEscape appends the escape sequence of a byte that is not plain.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, `\b`...)
	case '\f':
		return append(dst, `\f`...)
	case '\n':
		return append(dst, `\n`...)
	case '\r':
		return append(dst, `\r`...)
	case '\t':
		return append(dst, `\t`...)
	default:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}
