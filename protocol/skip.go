package protocol

// The grammar of RFC 8259, as functions over a message and an index into it.
// Each skip function takes the index where something should start and returns
// the index after it, or -1 if it is not there.

// at is the byte at i, or 0, which no grammar rule accepts, past the end.
func at(msg []byte, i int) byte {
	if i < len(msg) {
		return msg[i]
	}
	return 0
}

// skipSpace never fails: no space is fine as well.
func skipSpace(msg []byte, i int) int {
	for i < len(msg) && msg[i] <= ' ' && isSpace(msg[i]) {
		i++
	}
	return i
}

// isSpace reports whether c is white space between tokens, RFC 8259 §2.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// skipName takes the name of a member and the colon behind it, and returns
// where the name ends and where the value should start.
func skipName(msg []byte, i int) (nameEnd, value int) {
	if at(msg, i) != '"' {
		return -1, -1
	}
	nameEnd = skipString(msg, i)
	if nameEnd < 0 {
		return -1, -1
	}
	i = skipSpace(msg, nameEnd)
	if at(msg, i) != ':' {
		return -1, -1
	}
	return nameEnd, skipSpace(msg, i+1)
}

// skipValue takes any value inside the message's own object. What is open is
// kept in bits, not in calls: a deep message must not grow the stack.
func (s *Scanner) skipValue(msg []byte, i int) int {
	for depth := 1; ; {
		if c := at(msg, i); c != '{' && c != '[' {
			i = skipScalar(msg, i)
		} else {
			if depth++; depth > maxNesting {
				return -1
			}
			s.open(depth, c)
			i = skipSpace(msg, i+1)
			if at(msg, i) != closing(c) {
				if c == '{' {
					_, i = skipName(msg, i)
				}
				if i < 0 {
					return -1
				}
				continue // with the first value inside
			}
		}
		if i, depth = s.skipToValue(msg, i, depth); i < 0 || depth == 1 {
			return i
		}
	}
}

// skipToValue goes on after a value: over the brackets that close here, to the
// next value of what is still open. It stops at depth 1.
func (s *Scanner) skipToValue(msg []byte, i, depth int) (next, newDepth int) {
	for i >= 0 && depth > 1 {
		i = skipSpace(msg, i)
		c := at(msg, i)
		if c == ',' {
			i = skipSpace(msg, i+1)
			if s.closer(depth) == '}' {
				_, i = skipName(msg, i)
			}
			return i, depth
		}
		if c != s.closer(depth) {
			return -1, depth
		}
		i++
		depth--
	}
	return i, depth
}

// closing is the bracket that ends what c opens: in ASCII, both pairs are two
// apart.
func closing(c byte) byte { return c + 2 }

// open notes that at this depth an object or array is open.
func (s *Scanner) open(depth int, c byte) {
	bit := uint64(1) << (depth % 64)
	if c == '{' {
		s.nesting[depth/64] |= bit
	} else {
		s.nesting[depth/64] &^= bit
	}
}

// closer is the bracket that ends what is open at this depth.
func (s *Scanner) closer(depth int) byte {
	if s.nesting[depth/64]>>(depth%64)&1 == 1 {
		return '}'
	}
	return ']'
}

// skipScalar takes a string, a number, true, false or null.
func skipScalar(msg []byte, i int) int {
	switch at(msg, i) {
	case '"':
		return skipString(msg, i)
	case 't':
		return skipWord(msg, i, "true")
	case 'f':
		return skipWord(msg, i, "false")
	case 'n':
		return skipWord(msg, i, "null")
	default:
		return skipNumber(msg, i)
	}
}

func skipWord(msg []byte, i int, word string) int {
	if end := i + len(word); end <= len(msg) && string(msg[i:end]) == word {
		return end
	}
	return -1
}

// skipNumber takes a number, RFC 8259 §6. Its size does not matter.
func skipNumber(msg []byte, i int) int {
	if at(msg, i) == '-' {
		i++
	}
	if at(msg, i) == '0' {
		i++
	} else if i = skipDigits(msg, i); i < 0 {
		return -1
	}
	if at(msg, i) == '.' {
		if i = skipDigits(msg, i+1); i < 0 {
			return -1
		}
	}
	if c := at(msg, i); c == 'e' || c == 'E' {
		i++
		if c := at(msg, i); c == '+' || c == '-' {
			i++
		}
		return skipDigits(msg, i)
	}
	return i
}

// skipDigits takes one digit or more.
func skipDigits(msg []byte, i int) int {
	start := i
	for i < len(msg) && msg[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
