package client

// Stamp is what a load message carries: whose it is and when it should have
// been sent. It stands at the end of the data, which servers pass on verbatim,
// so that it is found without parsing the frame around it.
type Stamp struct {
	Slot uint32
	At   int64 // as Now
}

// The data of a load message is {"p":"<padding>","k":"<8 hex slot><16 hex at>"}.
const (
	dataHead  = `{"p":"`
	dataMid   = `","k":"`
	dataTail  = `"}`
	slotHex   = 8
	atHex     = 16
	stampSize = slotHex + atHex + len(dataTail)

	// MinData is the shortest data of a load message, in bytes.
	MinData = len(dataHead) + len(dataMid) + stampSize
)

const hexDigits = "0123456789abcdef"

// AppendData appends data of size bytes, at least MinData, with a stamp.
func AppendData(dst []byte, size int, s Stamp) []byte {
	dst = append(dst, dataHead...)
	for range size - MinData {
		dst = append(dst, 'x')
	}
	dst = append(dst, dataMid...)
	dst = appendHex(dst, uint64(s.Slot), slotHex)
	dst = appendHex(dst, uint64(s.At), atHex)
	return append(dst, dataTail...)
}

func appendHex(dst []byte, v uint64, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[v>>shift&0xf])
	}
	return dst
}

// ReadSlot returns the slot in a frame whose data is followed by closers bytes.
func ReadSlot(payload []byte, closers int) (slot uint32, ok bool) {
	end := len(payload) - closers - stampSize
	if end < 0 {
		return 0, false
	}
	v, ok := readHex(payload[end : end+slotHex])
	return uint32(v), ok
}

// ReadStamp returns the stamp in a frame whose data is followed by closers
// bytes.
func ReadStamp(payload []byte, closers int) (s Stamp, ok bool) {
	end := len(payload) - closers - stampSize
	if end < 0 {
		return s, false
	}
	slot, ok1 := readHex(payload[end : end+slotHex])
	at, ok2 := readHex(payload[end+slotHex : end+slotHex+atHex])
	return Stamp{Slot: uint32(slot), At: int64(at)}, ok1 && ok2
}

func readHex(digits []byte) (v uint64, ok bool) {
	for _, d := range digits {
		switch {
		case d >= '0' && d <= '9':
			d -= '0'
		case d >= 'a' && d <= 'f':
			d -= 'a' - 10
		default:
			return 0, false
		}
		v = v<<4 | uint64(d)
	}
	return v, true
}
