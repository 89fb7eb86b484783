package auth

// The grammar of RFC 8259, as functions over a text and an index into it. Each skip function takes the index where
// something should start and returns the one after it, or -1 if it is not there.

// at is the byte at i, or 0, which no rule accepts, past the end.
func at(text []byte, i int) byte {
	if i < len(text) {
		return text[i]
	}
	return 0
}

func skipSpace(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// skipValue takes a value inside depth objects and lists, unless it nests deeper than maxUsualDepth.
func skipValue(text []byte, i, depth int) int {
	switch at(text, i) {
	case '"':
		i, _ = skipString(text, i)
		return i
	case '{', '[':
		return skipNested(text, i, depth+1)
	case 't':
		return skipWord(text, i, "true")
	case 'f':
		return skipWord(text, i, "false")
	case 'n':
		return skipWord(text, i, "null")
	default:
		return skipNumber(text, i)
	}
}

// skipNested takes an object or a list.
func skipNested(text []byte, i, depth int) int {
	if depth > maxUsualDepth {
		return -1
	}
	object := text[i] == '{'
	closing := text[i] + 2 // in ASCII, both pairs of brackets are two apart
	i = skipSpace(text, i+1)
	if at(text, i) == closing {
		return i + 1
	}
	for i >= 0 {
		if object {
			if i = skipName(text, i); i < 0 {
				return -1
			}
		}
		if i = skipValue(text, i, depth); i < 0 {
			return -1
		}
		i = skipSpace(text, i)
		switch at(text, i) {
		case closing:
			return i + 1
		case ',':
			i = skipSpace(text, i+1)
		default:
			return -1
		}
	}
	return -1
}

// skipName takes a member's name and the colon behind it, up to where the value should start.
func skipName(text []byte, i int) int {
	if i, _ = skipString(text, i); i < 0 {
		return -1
	}
	if i = skipSpace(text, i); at(text, i) != ':' {
		return -1
	}
	return skipSpace(text, i+1)
}

// skipString takes a string in its quotes; plain reports that it has no escapes.
func skipString(text []byte, i int) (end int, plain bool) {
	if at(text, i) != '"' {
		return -1, false
	}
	plain = true
	for i++; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return i + 1, plain
		case c < ' ':
			return -1, false
		case c == '\\':
			plain = false
			if i = skipEscape(text, i+1); i < 0 {
				return -1, false
			}
		}
	}
	return -1, false
}

// skipEscape takes what follows a backslash and returns the index of its last byte.
func skipEscape(text []byte, i int) int {
	switch at(text, i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i
	case 'u':
		for range 4 {
			i++
			if c := at(text, i); c-'0' > 9 && (c|0x20)-'a' > 5 {
				return -1
			}
		}
		return i
	}
	return -1
}

func skipWord(text []byte, i int, word string) int {
	if end := i + len(word); end <= len(text) && string(text[i:end]) == word {
		return end
	}
	return -1
}

// skipNumber takes a number, RFC 8259 §6. Its size does not matter.
func skipNumber(text []byte, i int) int {
	if at(text, i) == '-' {
		i++
	}
	if at(text, i) == '0' {
		i++
	} else if i = skipDigits(text, i); i < 0 {
		return -1
	}
	if at(text, i) == '.' {
		if i = skipDigits(text, i+1); i < 0 {
			return -1
		}
	}
	if at(text, i)|0x20 != 'e' {
		return i
	}
	i++
	if c := at(text, i); c == '+' || c == '-' {
		i++
	}
	return skipDigits(text, i)
}

// skipDigits takes one digit or more.
func skipDigits(text []byte, i int) int {
	start := i
	for i < len(text) && text[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
